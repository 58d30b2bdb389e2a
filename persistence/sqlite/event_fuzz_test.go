package sqlite

import (
	"database/sql"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Another program may have written to the file. A row that is no event is refused: whoever read it as one would publish
// it, or stumble over it, much later.
func FuzzScanEvent(f *testing.F) {
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, db.Close()) })
	stmt, err := db.PrepareContext(f.Context(), `SELECT `+eventColumns+` FROM (SELECT ? AS offset, ? AS persistence_id,
		? AS sequence_number, ? AS uid, ? AS type, ? AS content_type, ? AS data, ? AS time, ? AS tags, ? AS metadata, ? AS slice)`)
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, stmt.Close()) })

	uid := []byte("0123456789abcdef")
	f.Add("order-1", int64(1), int64(1), uid, "shop.v1.OrderPlaced", []byte{1}, int64(0), `["a","b"]`, `{"k":"v"}`, int64(query.SliceOf("order-1")))
	f.Add("order-1", int64(1), int64(1), uid, "", []byte{}, int64(math.MinInt64), `null`, `null`, int64(query.SliceOf("order-1")))
	f.Add("order-1", int64(1), int64(1), uid, "", []byte{}, int64(math.MaxInt64), `["\ud800"]`, `{"k":1}`, int64(query.SliceOf("order-1")))
	f.Add("order-1", int64(1), int64(0), uid, "", []byte{}, int64(0), `[]`, `{}`, int64(query.SliceOf("order-1")))
	f.Add("order-1", int64(-1), int64(1), uid, "", []byte{}, int64(0), `[[]]`, `[`, int64(query.SliceOf("order-1")))
	f.Add("order-1", int64(1), int64(1), uid, "", []byte{}, int64(0), `[]`, `{}`, int64(0))
	f.Add("order-1", int64(1), int64(1), uid, "", []byte{}, int64(0), `[]`, `{}`, 65536+int64(query.SliceOf("order-1")))
	f.Add("a\xff", int64(1), int64(1), uid, "", []byte{}, int64(0), `[]`, `{}`, int64(query.SliceOf("a\xff")))
	f.Add("", int64(1), int64(1), uid, "", []byte{}, int64(0), `[]`, `{}`, int64(query.SliceOf("")))
	f.Add("order-1", int64(1), int64(1), uid[1:], "", []byte{}, int64(0), `[]`, `{}`, int64(query.SliceOf("order-1")))
	f.Fuzz(func(t *testing.T, id string, offset, seq int64, uid []byte, typ string, data []byte, micros int64, tags, metadata string, slice int64) {
		rows, err := stmt.QueryContext(t.Context(), offset, id, seq, uid, typ, typ, data, micros, tags, metadata, slice)
		require.NoError(t, err)
		defer rows.Close()
		require.True(t, rows.Next())
		var e query.Event
		err = newEventReader().read(rows, &e)
		require.NoError(t, rows.Err())
		if err != nil {
			var damaged *DamagedEventError
			require.ErrorAs(t, err, &damaged)
			return
		}
		require.NoError(t, query.ValidateID(e.PersistenceID))
		require.Positive(t, e.SequenceNumber)
		require.Equal(t, query.SliceOf(id), e.Slice)
		want := query.Event{
			PersistenceID: id, SequenceNumber: seq, Offset: query.Offset(offset), Type: typ, ContentType: typ, Slice: uint16(slice),
			Data: append([]byte{}, data...), Time: time.UnixMicro(micros).UTC(), UID: [16]byte(uid),
		}
		require.NoError(t, json.Unmarshal([]byte(tags), &want.Tags))
		require.NoError(t, json.Unmarshal([]byte(metadata), &want.Metadata))
		require.Equal(t, want, e)
	})
}
