package sqlite

// Subscribe has fn called after appends through this Journal, once for all that share a transaction, and by
// [Journal.Notify]. Appends of other processes, and through another Journal on the same file, are not noticed. All other
// appends wait for fn: it must neither append nor call cancel.
func (j *Journal) Subscribe(fn func()) (cancel func()) {
	return j.subscribers.Add(fn)
}
