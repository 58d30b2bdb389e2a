package journaltest_test

import (
	"context"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// onRecords has something else done in place of an append of records; good is the right one.
func (f *faulty) onRecords(do func(ctx context.Context, records []journal.Record, good recordFunc) ([]query.Pointer, error)) {
	good := f.record
	f.record = func(ctx context.Context, records ...journal.Record) ([]query.Pointer, error) {
		return do(ctx, records, good)
	}
}

type recordFunc = func(context.Context, ...journal.Record) ([]query.Pointer, error)

// oneByOne appends each record by itself.
func oneByOne(ctx context.Context, records []journal.Record, good recordFunc) (pointers []query.Pointer, err error) {
	for _, r := range records {
		p, err := good(ctx, r)
		if err != nil {
			return nil, err
		}
		pointers = append(pointers, p...)
		<-time.After(50 * time.Microsecond) // for others to come in between
	}
	return pointers, nil
}

var brokenRecords = []broken{
	{name: "appends records one by one", finds: []string{
		"records/are refused all, and named, if one of them is not valid", "records/of one call are next to each other, whoever appends",
	}, says: "follows what it was appended with", breaks: func(f *faulty) { f.onRecords(oneByOne) }},
	{name: "says of every record that it is the first", finds: []string{
		"records/are numbered, in order", "records/follow an actor's events, and make its next one conflict",
	}, says: "SequenceNumber", breaks: func(f *faulty) {
		f.onRecords(func(ctx context.Context, records []journal.Record, good recordFunc) ([]query.Pointer, error) {
			pointers, err := good(ctx, records...)
			for i := range pointers {
				pointers[i].SequenceNumber = 1
			}
			return pointers, err
		})
	}},
	{name: "takes every record for JSON without tags", finds: []string{"records/are read as they were written"}, says: "Tags", breaks: func(f *faulty) {
		f.onRecords(func(ctx context.Context, records []journal.Record, good recordFunc) ([]query.Pointer, error) {
			for i := range records {
				records[i].Tags = nil
			}
			return good(ctx, records...)
		})
	}},
	{name: "appends something where there is nothing", finds: []string{"records/may be none"}, says: "empty", breaks: func(f *faulty) {
		f.onRecords(func(ctx context.Context, records []journal.Record, good recordFunc) ([]query.Pointer, error) {
			return good(ctx, append(records, journal.Record{PersistenceID: "more", Type: "T"})...)
		})
	}},
	{name: "appends records when its context has ended", finds: []string{"records/end with their context"}, says: "context canceled", breaks: func(f *faulty) {
		f.onRecords(func(ctx context.Context, records []journal.Record, good recordFunc) ([]query.Pointer, error) {
			return good(context.WithoutCancel(ctx), records...)
		})
	}},
	{name: "takes records for another journal when it is closed", finds: []string{"records/are refused by a closed journal"}, says: "journal is closed",
		breaks: func(f *faulty) { f.close = func() error { return nil } }},
	{name: "notifies nobody of records", finds: []string{"records/wake subscribers"}, says: "not notified", breaks: func(f *faulty) {
		f.ownSubscribers()
	}},
}
