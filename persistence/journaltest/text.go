package journaltest

import (
	"slices"
	"strings"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// similarTexts are valid, and easily taken for one another, or for something else: by collations that overlook case,
// accents, widths, trailing spaces and all characters of four bytes, by normalization, by patterns, and by quoting.
var similarTexts = []string{
	"a", "A", "a ", " a", "a  ", "a\t", "ab", "a/1", "a/", "/a", "á", "a\u0301", "ａ", "ª", "a\u200b", "\ufeffa",
	"ss", "ß", "SS", "ae", "æ", "i", "I", "İ", "ı", "k", "\u212a", "1", "①", "01", "1.0", "-1", "👍", "👎", "\U0010ffff",
	"%", "_", "*", "?", "a%", "a_", ".", "..", "\\", `\\`, `\u0061`, "%61", "'", "''", `"`, "`", ";", "--", "$1", "?1", ":a", "@a",
	"'; DROP TABLE events; --", "${a}", "{a}", "{a,b}", "a,b", "a]", "[a]", `a"b`, "<&>", "\u2028", "a\nb", "a\r\nb",
	"\r\n", "\x01", "\x7f", "\u0085", " ", "  ", "null", "NULL", "true", "0", "00", "1e3", "NaN", "\ufffd",
}

// similarIDs are persistence ids that are. The long ones tell apart what an index on a part of them would not.
var similarIDs = slices.Concat(similarTexts, []string{
	strings.Repeat("x", 191) + "1", strings.Repeat("x", 191) + "2",
	strings.Repeat("x", 255) + "1", strings.Repeat("x", 255) + "2",
	strings.Repeat("x", 767) + "1", strings.Repeat("x", 767) + "2",
	strings.Repeat("x", query.MaxIDBytes), strings.Repeat("x", query.MaxIDBytes-1) + "y", strings.Repeat("x", query.MaxIDBytes-1),
	strings.Repeat("é", query.MaxIDBytes/2), strings.Repeat("👍", query.MaxIDBytes/4), strings.Repeat("'", query.MaxIDBytes),
})

var invalidIDs = map[string]string{
	"empty":           "",
	"10 kB":           strings.Repeat("x", 10_000),
	"1,025 bytes":     strings.Repeat("x", query.MaxIDBytes+1),
	"513 times é":     strings.Repeat("é", query.MaxIDBytes/2+1),
	"NUL":             "a\x00b",
	"NUL at its end":  "a\x00",
	"only NUL":        "\x00",
	"invalid UTF-8":   "a\xff",
	"cut short":       "a\xe2\x82",
	"a surrogate":     "a\xed\xa0\x80",
	"overlong":        "a\xc0\x80",
	"beyond U+10FFFF": "a\xf4\x90\x80\x80",
}

// noTexts are what not every journal can keep: no UTF-8, with NUL, or longer than a name is.
var noTexts = []string{"\xff", "half \xe2\x82", "test\xfftype", "\xed\xa0\x80", "nul \x00 in it", "\x00", strings.Repeat("long", 2500)}
