package takeover

import "time"

// Job is what a member has to do.
type Job struct {
	// Member names it, in what it reports and publishes.
	Member string

	// Host is where the others reach it, at two ports: the cluster's and the provider's.
	Host             string
	Port, HealthPort int
	// HealthHosts are the providers of all members, host:port.
	HealthHosts []string
	// ProviderInterval is how often the provider looks who is there.
	ProviderInterval time.Duration

	// Journal is the path of the SQLite file, or the URL of the PostgreSQL database.
	Journal string
	// Shards is the number of them; 0 is one outbox without shards, and without a cluster.
	Shards int
	// Lanes of each shard, or of the outbox.
	Lanes int
	// MaxUnsaved of each.
	MaxUnsaved int

	// Commanded is whether its shards take commands that come from other members.
	Commanded bool

	// URL is where to publish to; if it is empty, an event takes Work to publish, and Published is reported.
	URL  string
	Work time.Duration

	// DrainWithin bounds the drain of a graceful leave.
	DrainWithin time.Duration
}
