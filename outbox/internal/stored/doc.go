// Package stored is what an outbox stores, in bytes: its snapshot, and the layout of one that runs in shards, each in an
// envelope that tells a damaged or a newer one from one that can be read.
//
// It owns the encoding and nothing else: no store, no clock.
package stored
