package postgres

import "time"

// Waking says whether what other processes append wakes this one's subscribers, and the other way round. Where it does not,
// events are found by polling, and so up to a second later.
type Waking struct {
	// Listening says that a connection listens, and that something was heard on it. Without subscribers there is no such
	// connection.
	Listening bool
	// Since is when Listening became what it is. It is zero before the first subscriber came.
	Since time.Time
	// ListenErr is why nothing is listened to, if there are subscribers: what ended the last connection, or kept one from
	// coming about. The journal goes on trying. It is nil while Listening is true, and during the first try.
	ListenErr error
	// NotifyErr is why other processes were not told of this one's last append. It is nil if they were.
	NotifyErr error
}

// Waking returns how it is now. It asks nobody, and can be called often.
func (j *Journal) Waking() Waking {
	w := j.listener.waking()
	if w.ListenErr != nil {
		w.ListenErr = j.wrap("listen for appends of other processes", w.ListenErr)
	}
	if err := j.announcements.problem(); err != nil {
		w.NotifyErr = j.wrap("notify other processes of an append", err)
	}
	return w
}
