package postgres_test

// One subject: the application, with all that it writes and what must come of it, that the tests of faults do harm to.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"github.com/asynkron/protoactor-go/scheduler"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// faultRounds is how often a fault is repeated: OUTBOX_FAULT_ROUNDS times as often as by default.
func faultRounds(t testing.TB, byDefault int) int {
	t.Helper()
	factor := 1
	if text := os.Getenv("OUTBOX_FAULT_ROUNDS"); text != "" {
		var err error
		factor, err = strconv.Atoi(text)
		require.NoError(t, err, "OUTBOX_FAULT_ROUNDS is a number")
	}
	return factor * byDefault
}

// secret is the password in the configuration of everything that meets faults. It must not come to light.
const secret = "s3cret-word"

// app is an application whose server fails: actors persist events, other code appends records, an outbox publishes all of
// them. What was acknowledged and what was refused is noted, to be compared with what is stored and published.
type app struct {
	t      *testing.T
	pool   *pgxpool.Pool
	j      *postgres.Journal
	system *actor.ActorSystem
	*outbox.Client
	pid      *actor.PID
	blocked  chan error
	restarts atomic.Int64
	logs     lockedBuffer

	mu        sync.Mutex
	published []string          // event ids
	stored    map[string]string // what is known to be stored: event id → payload
	refused   map[string]error  // payloads that are known not to be stored
	errs      []error
	written   int
}

// lockedBuffer is a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// haste is how much faster an outbox's time passes in these tests: it looks every second instead of every five whether the
// journal has changed.
const haste = 5

var began = time.Now()

func hastyClock() time.Time { return began.Add(haste * time.Since(began)) }

type hastyScheduler struct{ *scheduler.TimerScheduler }

func (s hastyScheduler) SendOnce(delay time.Duration, pid *actor.PID, message any) scheduler.CancelFunc {
	return s.TimerScheduler.SendOnce(delay/haste, pid, message)
}

// startApp opens a journal, which must be there, and spawns an outbox over it.
func startApp(t *testing.T, pool *pgxpool.Pool) *app {
	t.Helper()
	a := &app{t: t, pool: pool, blocked: make(chan error, 8), stored: map[string]string{}, refused: map[string]error{}}
	var err error
	a.j, err = postgres.Open(t.Context(), pool)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.j.Close()) })
	a.system = testkit.NewActorSystem(t, actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewJSONHandler(&a.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}))
	subscription := a.system.EventStream.Subscribe(func(event any) {
		switch event := event.(type) {
		case *actor.SupervisorEvent:
			a.restarts.Add(1)
		case *outbox.Blocked:
			a.blocked <- event.Err
		case *outbox.Stopped:
			if event.Err != nil {
				t.Errorf("the outbox stopped itself: %v", event.Err)
			}
		}
	})
	t.Cleanup(func() { a.system.EventStream.Unsubscribe(subscription) })
	a.spawn()
	t.Cleanup(func() { a.checkSecret() })
	return a
}

// spawn spawns the outbox, and has it stopped at the end.
func (a *app) spawn() {
	a.t.Helper()
	sink := publisher.Func(func(_ context.Context, e publisher.Event) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.published = append(a.published, e.ID())
		return nil
	})
	props, err := outbox.Props("faults", a.j, publisher.Props(sink), outbox.WithBackoff(time.Millisecond, 100*time.Millisecond),
		outbox.WithClock(hastyClock), outbox.WithScheduler(hastyScheduler{scheduler.NewTimerScheduler(a.system.Root)}))
	require.NoError(a.t, err)
	pid := a.system.Root.Spawn(props)
	a.pid, a.Client = pid, outbox.NewClient(a.system.Root, pid)
	a.t.Cleanup(func() { require.NoError(a.t, a.system.Root.StopFuture(pid).Wait()) })
}

// note keeps an error, which must be transient, for the search for credentials.
func (a *app) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errs = append(a.errs, err)
	if journal.IsFinal(err) {
		a.t.Errorf("a fault is taken for something final: %v", err)
	}
}

func (a *app) acknowledged(id string, seq int64, payload string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.written++
	name := fmt.Sprintf("%s/%d", id, seq)
	if before, there := a.stored[name]; there {
		a.t.Errorf("%s was given to %q and to %q", name, before, payload)
	}
	a.stored[name] = payload
}

// ticket asks an entity to persist a payload; it answers with a ticket that has the sequence number.
type ticket struct {
	payload string
	seq     int64
}

type faultEntity struct{ persistence.Mixin }

func (e *faultEntity) Receive(c actor.Context) {
	if m, ok := c.Message().(*ticket); ok {
		e.PersistReceive(wrapperspb.String(m.payload))
		c.Respond(&ticket{m.payload, journal.LastSequence(c)})
	}
}

// during has everybody write until do has returned.
func (a *app) during(do func()) {
	a.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	life := rand.N(1 << 30)
	start := func(name string, write func(name, payload string)) {
		writing.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				write(name, fmt.Sprintf("%s.%d.%d", name, life, n))
			}
		})
	}
	props := actor.PropsFromProducer(func() actor.Actor { return &faultEntity{} }, actor.WithReceiverMiddleware(journal.Using(a.j)))
	var entities []*actor.PID
	for i := range 4 {
		name := fmt.Sprintf("entity-%d-%d", life, i)
		pid, err := a.system.Root.SpawnNamed(props, name)
		require.NoError(a.t, err)
		entities = append(entities, pid)
		start(name, func(name, payload string) { a.persist(pid, name, payload) })
	}
	for i := range 2 {
		seq := int64(0)
		start(fmt.Sprintf("event-%d-%d", life, i), func(name, payload string) {
			seq++
			a.event(name, seq, payload)
		})
	}
	shared := fmt.Sprintf("shared-%d", life)
	start("records", func(_, payload string) { a.records(ctx, shared, payload) })
	start("transactions", func(_, payload string) { a.transaction(ctx, shared, payload) })
	defer func() {
		cancel()
		writing.Wait()
		for _, pid := range entities {
			require.NoError(a.t, a.system.Root.StopFuture(pid).Wait())
		}
	}()
	do()
}

// persist has an actor persist an event, which the journal's provider tries again for half a minute.
func (a *app) persist(pid *actor.PID, name, payload string) {
	answer, err := a.system.Root.RequestFuture(pid, &ticket{payload: payload}, faultPatience).Result()
	if err != nil {
		a.t.Errorf("%s has not answered: %v", name, err)
		return
	}
	a.acknowledged(name, answer.(*ticket).seq, payload)
}

// event appends an event until it is told that it is stored, with little patience.
func (a *app) event(id string, seq int64, payload string) {
	e := event(id, seq)
	e.Data = []byte(payload)
	for deadline := time.Now().Add(faultPatience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		err := a.j.AppendEvent(ctx, e)
		cancel()
		if err == nil {
			a.acknowledged(id, seq, payload)
			return
		}
		a.note(err)
		if time.Now().After(deadline) {
			a.t.Errorf("event %d of %s could not be appended: %v", seq, id, err)
			return
		}
	}
}

// records appends two records at once, and does not try again.
func (a *app) records(ctx context.Context, id, payload string) {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	pointers, err := a.j.Append(limited,
		journal.Record{PersistenceID: id, Type: "T", Data: []byte(payload + "a")}, journal.Record{PersistenceID: id, Type: "T", Data: []byte(payload + "b")})
	if err != nil {
		a.note(err)
		return
	}
	for i, p := range pointers {
		a.acknowledged(p.PersistenceID, p.SequenceNumber, payload+string(rune('a'+i)))
	}
}

// transaction appends a record in a transaction of the application.
func (a *app) transaction(ctx context.Context, id, payload string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	tx, err := a.pool.Begin(ctx)
	if err != nil {
		return
	}
	pointers, err := a.j.AppendTx(ctx, tx, journal.Record{PersistenceID: id, Type: "T", Data: []byte(payload)})
	if err != nil {
		a.note(err)
		_ = tx.Rollback(ctx)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.refused[payload] = err // it was never asked to be committed
		return
	}
	if err := tx.Commit(ctx); err != nil {
		if state := stateOf(err); state == "40001" || state == "40P01" {
			a.note(err)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.refused[payload] = err
		}
		return // otherwise nobody knows
	}
	a.j.Notify()
	a.acknowledged(pointers[0].PersistenceID, pointers[0].SequenceNumber, payload)
}

// flush waits until the outbox has published all that is committed.
func (a *app) flush() {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), faultPatience)
	defer cancel()
	var err error
	await(a.t, "the outbox has published everything", func() bool {
		err = a.Flush(ctx)
		return err == nil || !errors.Is(err, outbox.ErrUnavailable)
	})
	require.NoError(a.t, err, "%v", a.status())
}

func (a *app) status() *outboxv1.Status {
	ctx, cancel := context.WithTimeout(context.Background(), faultPatience)
	defer cancel()
	s, err := a.Status(ctx)
	require.NoError(a.t, err)
	return s
}

// publishedNow is what has been published so far.
func (a *app) publishedNow() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.published...)
}

// check compares what was acknowledged, what is stored and what was published, once everything is healed.
func (a *app) check() {
	a.t.Helper()
	a.flush()
	table := a.table()
	a.mu.Lock()
	defer a.mu.Unlock()
	var (
		payloads = map[string]string{}
		last     = map[string]int64{}
	)
	for _, e := range table {
		name, payload := e.ID(), payloadOf(a.t, e)
		require.Equal(a.t, last[e.PersistenceID]+1, e.SequenceNumber, "of %s", e.PersistenceID)
		last[e.PersistenceID]++
		require.NotContains(a.t, payloads, payload, "it is stored twice")
		payloads[payload] = name
		if acknowledged, known := a.stored[name]; known {
			require.Equal(a.t, acknowledged, payload, "what was acknowledged as %s", name)
			delete(a.stored, name)
		}
	}
	require.Empty(a.t, a.stored, "acknowledged, and not stored")
	for payload, err := range a.refused {
		require.NotContains(a.t, payloads, payload, "refused by %v, and stored", err)
	}
	requireFirstsInOrder(a.t, table, a.published)
	require.Zero(a.t, a.restarts.Load(), "restarts by supervisors")
	a.t.Logf("%d appends acknowledged, %d failed, %d events stored, %d published", a.written, len(a.errs), len(table), len(a.published))
	require.NotZero(a.t, a.written)
	a.stored = map[string]string{}
	for _, e := range table {
		a.stored[e.ID()] = payloadOf(a.t, e)
	}
}

// table is all that is stored, in the order of each id.
func (a *app) table() (all []query.Event) {
	a.t.Helper()
	for after := query.Offset(0); ; {
		page, err := a.j.Events(context.Background(), after, query.Filter{}, query.Limits{Events: 10_000})
		require.NoError(a.t, err)
		all = append(all, page.Events...)
		if after = page.Next; !page.More {
			return all
		}
	}
}

func payloadOf(t testing.TB, e query.Event) string {
	t.Helper()
	if e.Type != "google.protobuf.StringValue" {
		return string(e.Data)
	}
	var m wrapperspb.StringValue
	require.NoError(t, proto.Unmarshal(e.Data, &m))
	return m.GetValue()
}

// requireFirstsInOrder compares what is stored with what was published: everything was, nothing else, and that of each id
// for the first time in its order.
func requireFirstsInOrder(t testing.TB, table []query.Event, published []string) {
	t.Helper()
	var (
		seen  = map[string]bool{}
		first = map[string][]string{}
		want  = map[string][]string{}
	)
	idOf := func(name string) string { return name[:strings.LastIndexByte(name, '/')] }
	for _, name := range published {
		if !seen[name] {
			seen[name] = true
			first[idOf(name)] = append(first[idOf(name)], name)
		}
	}
	for _, e := range table {
		want[e.PersistenceID] = append(want[e.PersistenceID], e.ID())
	}
	for id := range want {
		require.Equal(t, want[id], first[id], "what was published of %s", id)
		delete(first, id)
	}
	require.Empty(t, first, "published, and not stored")
}

// checkSecret looks for the password in all that was said.
func (a *app) checkSecret() {
	a.mu.Lock()
	defer a.mu.Unlock()
	require.Contains(a.t, a.pool.Config().ConnString(), secret)
	said := []string{a.logs.String()}
	for _, err := range a.errs {
		said = append(said, err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err))
		if _, leads := errors.AsType[*pgconn.ConnectError](err); leads {
			a.t.Errorf("an error leads to the configuration, and so to the password: %v", err)
		}
	}
	for _, text := range said {
		if strings.Contains(text, secret) {
			a.t.Errorf("the password is in: %.2000s", text)
			return
		}
	}
	require.NotEmpty(a.t, a.logs.String(), "the log was not written where it is looked for")
}

// withSecret is a pool whose configuration has a password.
func withSecret(t testing.TB, url string, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(strings.Replace(url, "postgres@", "postgres:"+secret+"@", 1))
	require.NoError(t, err)
	config.MaxConns = 16
	for _, c := range change {
		c(config)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}
