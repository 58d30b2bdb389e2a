package takeover_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/takeover"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	numShards = 8
	// patience is how long anything may take.
	patience = 30 * time.Second
)

// seat is where a member runs: one at a time.
type seat struct {
	host             string
	port, healthPort int
	netns            string // "" is the test's
	journal          string
	worldHost        string
}

// party is the members of a cluster, those that have ended included, and their world.
type party struct {
	t       *testing.T
	random  *mathrand.Rand
	seats   []seat
	world   *world
	traffic *traffic
	members []*process
	sitting map[int]*process // by seat

	commanded bool // members take commands from each other
}

// kinds of journals: each makes one, and returns its place.
var kinds = map[string]func(*testing.T) string{"SQLite": newFile, "PostgreSQL": newDatabase}

func newFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "takeover.db")
}

func newDatabase(t *testing.T) string {
	t.Helper()
	server := os.Getenv("OUTBOX_TEST_POSTGRES_URL")
	if server == "" {
		server = "postgres://postgres@127.0.0.1:5432/postgres"
	}
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, server)
	if err != nil && os.Getenv("OUTBOX_REQUIRE_SERVICES") != "1" {
		t.Skipf("SKIPPED: there is no PostgreSQL server (OUTBOX_TEST_POSTGRES_URL, else 127.0.0.1:5432): %v", err)
	}
	require.NoError(t, err)
	name := "outbox_takeover_" + strings.ToLower(rand.Text())
	_, err = admin.Exec(ctx, "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		require.NoError(t, err)
		require.NoError(t, admin.Close(ctx))
	})
	place := within(t, server, name)
	pool, err := pgxpool.New(ctx, place)
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, postgres.Migrate(ctx, pool))
	return place
}

// within is a server's URL, its password and parameters included, with another database.
func within(t *testing.T, server, database string) string {
	t.Helper()
	return changed(t, server, func(u *url.URL, query url.Values) {
		u.Path = "/" + database
		query.Del("dbname")
		query.Del("database")
	})
}

// through is a database's URL, to reach it at another address.
func through(t *testing.T, place, address string) string {
	t.Helper()
	return changed(t, place, func(u *url.URL, query url.Values) {
		u.Host = address
		query.Del("host")
		query.Del("port")
	})
}

func changed(t *testing.T, place string, change func(*url.URL, url.Values)) string {
	t.Helper()
	// Failures do not show it: it may have a password.
	u, err := url.Parse(place)
	require.True(t, err == nil && u.Scheme != "", "OUTBOX_TEST_POSTGRES_URL must be a URL, postgres://…")
	query := u.Query()
	change(u, query)
	u.RawQuery = query.Encode()
	return u.String()
}

// newParty makes seats for members on this machine, which have one network.
func newParty(t *testing.T, place string, seats int) *party {
	t.Helper()
	return newPartyAt(t, place, seatsHere(t, place, seats))
}

func seatsHere(t *testing.T, place string, n int) []seat {
	t.Helper()
	all := make([]seat, n)
	for i := range all {
		all[i] = seat{host: "127.0.0.1", port: freePort(t), healthPort: freePort(t), journal: place, worldHost: "127.0.0.1"}
	}
	return all
}

func newPartyAt(t *testing.T, place string, seats []seat) *party {
	t.Helper()
	seed := uint64(number(t, "OUTBOX_TAKEOVER_SEED", int(time.Now().UnixNano())))
	t.Logf("OUTBOX_TAKEOVER_SEED=%d", seed)
	p := &party{t: t, random: mathrand.New(mathrand.NewPCG(seed, 0)), seats: seats, world: newWorld(t), sitting: map[int]*process{}}
	storage, _, err := takeover.Open(context.Background(), place)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, storage.Close()) })
	p.traffic = newTraffic(storage, paceOf(place), mathrand.New(mathrand.NewPCG(seed, 1)))
	t.Cleanup(func() { p.traffic.stop(); <-p.traffic.done })
	return p
}

// freePort is one of those that no program is given without asking for it, as it has to stay free until a member listens.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12_000+mathrand.IntN(20_000)))
		if err != nil {
			continue
		}
		require.NoError(t, l.Close())
		return l.Addr().(*net.TCPAddr).Port
	}
	require.FailNow(t, "there is no free port")
	return 0
}

func inPostgres(place string) bool { return strings.Contains(place, "://") }

// maxUnsaved of the shards whose journal is at a place. In PostgreSQL it is a third of what a shard publishes in the second between
// two saves, so that a bound that does not hold is seen. A SQLite file, at which all members take turns, cannot be saved to so often.
func maxUnsaved(place string) int {
	if inPostgres(place) {
		return 24
	}
	return 64
}

// jobAt is that of a member at a seat.
func jobAt(seats []seat, at int, name string) takeover.Job {
	s := seats[at]
	job := takeover.Job{
		Member: name, Host: s.host, Port: s.port, HealthPort: s.healthPort, Journal: s.journal, Shards: numShards, Lanes: 1,
		MaxUnsaved: maxUnsaved(s.journal), ProviderInterval: 300 * time.Millisecond, DrainWithin: 5 * time.Second,
	}
	for _, other := range seats {
		job.HealthHosts = append(job.HealthHosts, net.JoinHostPort(other.host, fmt.Sprint(other.healthPort)))
	}
	return job
}

// sit starts a member at a seat.
func (p *party) sit(at int) *process {
	p.t.Helper()
	s := p.seats[at]
	job := jobAt(p.seats, at, fmt.Sprintf("m%d", len(p.members)))
	job.Commanded = p.commanded
	job.URL, job.Lanes = p.world.url(s.worldHost, job.Member), 4
	var before []string
	if s.netns != "" {
		before = []string{"ip", "netns", "exec", s.netns}
	}
	m := run(p.t, job, before...)
	p.members = append(p.members, m)
	p.sitting[at] = m
	return m
}

// owner of a shard, as far as it is known.
type owner struct {
	member *process
	epoch  int64
}

// owners of the shards, by key: those with the greatest epoch.
func (p *party) owners() map[string]owner { return ownersAmong(p.members) }

func ownersAmong(members []*process) map[string]owner {
	owners := map[string]owner{}
	for _, m := range members {
		for _, r := range m.all() {
			if r.What == takeover.Acquired && r.Epoch > owners[r.Key].epoch {
				owners[r.Key] = owner{m, r.Epoch}
			}
		}
	}
	return owners
}

// await waits for something that members do.
func (p *party) await(what string, condition func() bool) {
	p.t.Helper()
	if !assert.Eventually(p.t, condition, patience, 5*time.Millisecond, what) {
		for key, o := range p.owners() {
			first, ok := p.firstReceipt(key, o.epoch)
			p.t.Logf("%s is owned by %s in epoch %d, and first received from at %v (%v)", key, o.member.job.Member, o.epoch, first, ok)
		}
		p.t.Logf("%d written, %d received, wrong: %v", p.traffic.count(), p.world.distinct(), p.world.wrong)
		p.t.FailNow()
	}
}

// runs waits until each shard is owned by one of these members, and has been received from since then.
func (p *party) runs(members ...*process) {
	p.t.Helper()
	p.await("each shard is owned and publishes", func() bool {
		owners := p.owners()
		if len(owners) < numShards {
			return false
		}
		for key, o := range owners {
			sits := false
			for _, m := range members {
				sits = sits || m == o.member
			}
			if !sits || !p.publishes(key, o.epoch) {
				return false
			}
		}
		return true
	})
}

// rests waits until no shard has changed hands for a while: after a join, several do.
func (p *party) rests() {
	p.t.Helper()
	rest := restOf(p.members, 2*time.Second)
	p.await("the shards stay where they are", rest)
}

func restOf(members []*process, quiet time.Duration) func() bool {
	since, before := time.Now(), ownersAmong(members)
	return func() bool {
		if now := ownersAmong(members); !maps.Equal(before, now) {
			since, before = time.Now(), now
		}
		return len(before) > 0 && time.Since(since) >= quiet
	}
}

// publishes reports whether something was received from a shard in this epoch.
func (p *party) publishes(key string, epoch int64) bool {
	_, ok := p.firstReceipt(key, epoch)
	return ok
}

// firstReceipt is when the shard was first received from in this epoch or a later one.
func (p *party) firstReceipt(key string, epoch int64) (time.Time, bool) {
	for _, r := range p.world.receipts() {
		if r.epoch >= epoch && keyOf(r.id) == key {
			return r.at, true
		}
	}
	return time.Time{}, false
}

// keyOf is the key of the shard that an id belongs to.
func keyOf(id string) string {
	number := ((int(query.SliceOf(id))+1)*numShards - 1) / query.NumSlices
	return keyOfShard(number)
}

func keyOfShard(number int) string { return fmt.Sprintf("outbox/takeover-%d/%d", number, numShards) }
