package providers

import (
	"time"

	"github.com/asynkron/protoactor-go/cluster/clusterproviders/consul"
	"github.com/hashicorp/consul/api"
)

// Consul asks the agent at an address, host:port. A member that dies is known to have gone after the first of these times; it
// says that it lives in intervals of the second.
func Consul(agent string) (*consul.Provider, error) {
	return consul.NewWithConfig(&api.Config{Address: agent}, consul.WithTTL(3*time.Second), consul.WithRefreshTTL(time.Second))
}
