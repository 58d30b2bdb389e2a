package publisher

// BatchOrdering is an optional capability of a [Publisher].
type BatchOrdering interface {
	// OrderedWithinBatch reports whether the publisher keeps the order of an id even if an event of that id
	// fails in mid-batch. Where it is false, the publisher actor splits a batch into waves in which each id
	// appears once, and leaves out the ids that failed from the waves after. A publisher without this method
	// is taken to keep the order.
	OrderedWithinBatch() bool
}

// ordered reports whether p keeps the order within a batch.
func ordered(p Publisher) bool {
	o, ok := As[BatchOrdering](p)
	return !ok || o.OrderedWithinBatch()
}

// Destinations is an optional capability of a [Publisher] that delivers to several places, such as one URL for each
// customer. An outage of one of them is none of the others: see [Failure.Destination].
type Destinations interface {
	// Destination names where the event goes, "" if that is where most go, or if it cannot be told. It depends on the
	// event alone, and is called concurrently. A name is at most 256 bytes of UTF-8, and holds no secret: it is
	// shown in logs and in the outbox's status.
	Destination(e Event) string
}

// Wrapper is a [Publisher] around another one, as middleware is. Capabilities that it does not have itself are those
// of the publisher that it wraps.
type Wrapper interface {
	Unwrap() Publisher
}

// As finds the first publisher that has the capability T, in p and in what p wraps; ok is false if none has.
func As[T any](p Publisher) (capability T, ok bool) {
	for p != nil {
		if c, ok := p.(T); ok {
			return c, true
		}
		w, ok := p.(Wrapper)
		if !ok {
			break
		}
		p = w.Unwrap()
	}
	return capability, false
}
