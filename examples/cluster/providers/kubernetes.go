package providers

import (
	"os"

	"github.com/asynkron/protoactor-go/cluster/clusterproviders/k8s"
	"github.com/asynkron/protoactor-go/remote"
)

// Kubernetes finds the pods of the cluster in its own namespace. The pod's service account may get, list, watch and patch
// pods; POD_IP is status.podIP, by the downward API; the container's port is 8090.
func Kubernetes() (*k8s.Provider, *remote.Config, error) {
	provider, err := k8s.New()
	return provider, remote.Configure("0.0.0.0", 8090, remote.WithAdvertisedHost(os.Getenv("POD_IP")+":8090")), err
}
