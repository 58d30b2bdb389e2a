package query

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxIDBytes is the longest persistence id, in bytes of UTF-8.
const MaxIDBytes = 1024

// NumSlices is the number of slices that persistence ids are divided into.
const NumSlices = 1024

// ErrInvalidID says that a persistence id is empty, too long, not UTF-8 or contains NUL. It is wrapped with the
// id and the reason.
var ErrInvalidID = errors.New("invalid persistence id")

// ValidateID returns nil if id may name a stream: 1 to [MaxIDBytes] bytes of UTF-8 without NUL. Otherwise it
// returns an error that wraps [ErrInvalidID].
func ValidateID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidID)
	case len(id) > MaxIDBytes:
		return fmt.Errorf("%w %.40q…: it has %d bytes, at most %d are allowed", ErrInvalidID, id, len(id), MaxIDBytes)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w %q: it is not valid UTF-8", ErrInvalidID, id)
	case strings.ContainsRune(id, 0):
		return fmt.Errorf("%w %q: it contains a NUL character", ErrInvalidID, id)
	}
	return nil
}

// SliceOf maps a persistence id to its slice, 0 to [NumSlices]-1: the 64-bit FNV-1a hash h of the id, as
// (h ^ h>>32) mod 1024. The mapping is part of the stored format of journals and never changes.
func SliceOf(id string) uint16 {
	const (
		offset64 = 14695981039346656037
		prime64  = 1099511628211
	)
	// hash/fnv would allocate a copy of the id for every event.
	h := uint64(offset64)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * prime64
	}
	return uint16((h ^ h>>32) % NumSlices)
}
