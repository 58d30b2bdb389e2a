package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// announcementInterval is the least time from one NOTIFY of this process to the next.
	announcementInterval = 5 * time.Millisecond

	// announcementTimeout bounds one NOTIFY, a connection for it included. By then other processes have polled.
	announcementTimeout = time.Second
)

// Notify wakes the subscribers of the journal, such as an outbox: those of this Journal at once, those of other processes as
// appends do. Call it after the commit of a transaction that AppendTx was used in. Without it the records are found by polling.
// It does not wait. After Close it does nothing.
func (j *Journal) Notify() {
	if !j.gate.Enter() {
		return
	}
	defer j.gate.Leave()
	j.subscribers.Notify()
	j.announce()
}

// announcements tell other processes that something was appended. The first one goes out at once; what comes within 5 ms of it
// goes into the next. They are sent by a goroutine that is there only while one is wanted, with a connection of the pool and
// never in the transaction of an append: there, NOTIFY would have all commits of the database wait for each other. One that
// fails is not repeated.
type announcements struct {
	mu      sync.Mutex
	wanted  bool
	working bool
	last    announcement
	err     error // of the last one; nil if it was sent
}

// announcement is one that was sent, between two moments.
type announcement struct{ begun, done time.Time }

// announce has other processes woken. The caller is within the gate.
func (j *Journal) announce() {
	if j.announcements.want() {
		j.gate.EnterFromWithin()
		go j.sendAnnouncements()
	}
}

func (j *Journal) sendAnnouncements() {
	defer j.gate.Leave()
	for j.announcements.next() {
		pause := time.After(announcementInterval)
		a := announcement{begun: time.Now()}
		ctx, cancel := context.WithTimeout(context.Background(), announcementTimeout)
		err := j.use(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, j.notifySQL, pgx.QueryExecModeSimpleProtocol) // with parameters it would take longer
			return err
		})
		cancel()
		a.done = time.Now()
		j.announcements.note(a, err)
		<-pause
	}
}

// want reports whether a goroutine has to be started that sends what is wanted.
func (a *announcements) want() (start bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	start = !a.working
	a.wanted, a.working = true, true
	return start
}

// next takes what is wanted. The goroutine ends if there is nothing.
func (a *announcements) next() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.working = a.wanted
	a.wanted = false
	return a.working
}

func (a *announcements) note(sent announcement, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.last = sent
	}
	a.err = err
}

// sent returns the last one that was sent.
func (a *announcements) sent() announcement {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

func (a *announcements) problem() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}
