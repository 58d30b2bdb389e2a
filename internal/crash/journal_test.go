package crash_test

import (
	"database/sql"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// readJournal returns the payloads of all events in the file. It uses nothing but the database driver: the journal's
// own reading is among what is tested.
func readJournal(t *testing.T, path string) map[event]string {
	t.Helper()
	file := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite", file.String())
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.Query("SELECT persistence_id, sequence_number, data FROM events")
	require.NoError(t, err)
	defer rows.Close()
	events := map[event]string{}
	for rows.Next() {
		var (
			e       event
			data    []byte
			payload wrapperspb.StringValue
		)
		require.NoError(t, rows.Scan(&e.id, &e.seq, &data))
		require.NoError(t, proto.Unmarshal(data, &payload))
		events[e] = payload.GetValue()
	}
	require.NoError(t, rows.Err())
	return events
}
