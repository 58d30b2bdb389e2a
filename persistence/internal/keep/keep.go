// Package keep is the form in which SQL journals store a query.Keep: JSON that operators can read and that retention can be
// computed from. It is stored, so that what it writes stays readable for ever.
//
// Journals that are modules of their own use it, also in older versions: what is exported here is kept.
package keep

import (
	"encoding/json"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// stored is a query.Keep less its watermark, which has a column of its own.
type stored struct {
	Anchor *pointer         `json:"anchor,omitempty"`
	Held   map[string]int64 `json:"held,omitempty"` // persistence id → next sequence number
	Parked []pointer        `json:"parked,omitempty"`
}

type pointer struct {
	PersistenceID  string `json:"id"`
	SequenceNumber int64  `json:"seq"`
}

// Encode returns k, less its watermark, as a JSON object. Its error wraps query.ErrInvalidID.
func Encode(k query.Keep) (string, error) {
	s := stored{Held: k.Held}
	for id := range k.Held {
		if err := query.ValidateID(id); err != nil {
			return "", fmt.Errorf("held: %w", err)
		}
	}
	if k.Anchor != (query.Pointer{}) {
		s.Anchor = (*pointer)(&k.Anchor)
		if err := query.ValidateID(k.Anchor.PersistenceID); err != nil {
			return "", fmt.Errorf("anchor: %w", err)
		}
	}
	for _, p := range k.Parked {
		if err := query.ValidateID(p.PersistenceID); err != nil {
			return "", fmt.Errorf("parked: %w", err)
		}
		s.Parked = append(s.Parked, pointer(p))
	}
	text, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encode what is kept: %w", err)
	}
	return string(text), nil
}

// Decode returns what Encode was given, without the watermark. Text that it does not understand is an error: what an outbox
// asked to be kept must not be forgotten without a word.
func Decode(text string) (query.Keep, error) {
	var s stored
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return query.Keep{}, fmt.Errorf("decode what is kept: %w", err)
	}
	k := query.Keep{Held: s.Held}
	if s.Anchor != nil {
		k.Anchor = query.Pointer(*s.Anchor)
	}
	for _, p := range s.Parked {
		k.Parked = append(k.Parked, query.Pointer(p))
	}
	return k, nil
}
