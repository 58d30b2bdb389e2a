package keep_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/keep"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Both are in databases.
func TestTheStoredFormNeverChanges(t *testing.T) {
	for text, k := range map[string]query.Keep{
		`{}`: {},
		`{"anchor":{"id":"a","seq":7},"held":{"b":3,"c":1},"parked":[{"id":"a","seq":2},{"id":"b","seq":1}]}`: {
			Anchor: query.Pointer{PersistenceID: "a", SequenceNumber: 7},
			Held:   map[string]int64{"b": 3, "c": 1},
			Parked: []query.Pointer{{PersistenceID: "a", SequenceNumber: 2}, {PersistenceID: "b", SequenceNumber: 1}},
		},
	} {
		encoded, err := keep.Encode(k)
		require.NoError(t, err)
		require.Equal(t, text, encoded)
		decoded, err := keep.Decode(text)
		require.NoError(t, err)
		require.Equal(t, k, decoded)
	}
}

func TestAnInvalidIDIsNotStored(t *testing.T) {
	nobody := query.Pointer{PersistenceID: "a\x00", SequenceNumber: 1}
	for what, k := range map[string]query.Keep{
		"anchor": {Anchor: nobody}, "held": {Held: map[string]int64{"": 1}}, "parked": {Parked: []query.Pointer{nobody}},
	} {
		_, err := keep.Encode(k)
		require.ErrorIs(t, err, query.ErrInvalidID, what)
		require.ErrorContains(t, err, what)
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		"", "{}", "null", "[]", `{"anchor":null,"held":null}`, `{"anchor":{"id":"a","seq":1},"held":{"b":3},"parked":[{"id":"a","seq":1}]}`,
		`{"held":{"b":"3"}}`, `{"held":{"":1e3}}`, `{"parked":[{}]}`, `{"held":{"b":9223372036854775808}}`, `{"held":{"\ud800":1}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := keep.Decode(text)
		if err != nil {
			require.Zero(t, k)
			return
		}
		again, err := keep.Encode(k)
		if err != nil {
			require.ErrorIs(t, err, query.ErrInvalidID)
			return
		}
		got, err := keep.Decode(again)
		require.NoError(t, err)
		if len(k.Held) == 0 {
			k.Held = nil
		}
		require.Equal(t, k, got)
	})
}
