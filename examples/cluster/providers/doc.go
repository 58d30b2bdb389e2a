// Package providers shows how a member of examples/cluster finds the others where there is Kubernetes, Consul, etcd or
// ZooKeeper: what cluster.Configure is given in place of the automanaged provider. docs/cluster.md shows these functions, and the
// test of this package compares the two.
//
// It is a module of its own, because the clients that these need are large.
package providers
