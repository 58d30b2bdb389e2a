// Package journaltest is the conformance suite that every journal passes. [Run] holds a journal to the contracts
// of packages query and journal; to join, a journal's test fills in a [Harness].
//
// The suite owns the cases, not the journal: each case gets a new, empty one from the harness. Facts that differ
// between journals, such as whether they outlive being closed, are stated by the harness and checked, so that a
// capability that gets lost fails the suite instead of being skipped.
//
// It never asks which journal it is testing, never sleeps, and reads nothing but what the public contracts offer.
package journaltest
