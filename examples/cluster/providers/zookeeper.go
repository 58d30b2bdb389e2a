package providers

import (
	"time"

	"github.com/asynkron/protoactor-go/cluster/clusterproviders/zk"
)

// ZooKeeper keeps the members as ephemeral nodes. One that dies is known to have gone when its session has ended.
func ZooKeeper(endpoints ...string) (*zk.Provider, error) {
	return zk.New(endpoints, zk.WithBaseKey("/protoactor"), zk.WithSessionTimeout(3*time.Second))
}
