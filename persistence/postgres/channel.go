package postgres

import (
	"fmt"
	"strings"
)

// channelOf names the channel on which the programs that use a journal tell each other of appends. All of them, of whatever
// version, use the same one, so it never changes. It is the journal's name, for those who look at a database, cut to what
// PostgreSQL takes, and what makes it the journal's own: two journals may have the same name.
func channelOf(t tables) string {
	own := fmt.Sprintf("/%016x", uint64(advisoryKey("channel", t.sql("{{journal}}"))))
	name := t.name[:min(len(t.name), maxIdentifier-len(own))]
	return strings.ToValidUTF8(name, "") + own
}
