package takeover

import "time"

// Job is what a member has to do.
type Job struct {
	// Member names it, in what it reports and publishes.
	Member string
	// Host is where the others reach it, at two ports: the cluster's and the provider's.
	Host              string
	Port, HealthPort  int
	HealthHosts       []string // host:port of all members' providers
	Journal           string   // path of the SQLite file, or URL of the PostgreSQL database
	Shards            int
	URL               string // where the shards publish to
	MaxUnsaved        int
	ProviderInterval  time.Duration // how often the provider looks who is there
	DrainWithin       time.Duration // of a graceful leave
	PublishConcurrent int           // of the webhook
}
