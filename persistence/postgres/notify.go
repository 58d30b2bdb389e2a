package postgres

// Subscribe has fn called after each append through this Journal, and again and again while a reader waits at a gap. What
// other processes append, and transactions of the application unless they call Notify, is not noticed. fn must not call
// cancel.
func (j *Journal) Subscribe(fn func()) (cancel func()) {
	return j.subscribers.Add(fn)
}
