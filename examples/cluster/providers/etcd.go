package providers

import (
	"time"

	"github.com/asynkron/protoactor-go/cluster/clusterproviders/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Etcd keeps the members under a key. One that dies is known to have gone after three seconds, when its lease has ended.
func Etcd(endpoints ...string) (*etcd.Provider, error) {
	return etcd.NewWithConfig("/protoactor", clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
}
