package outbox_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	command = regexp.MustCompile("`((?:cd (\\S+) && )?go test [^`]*-run '?([^' `]+)'? (\\./[^ `]*|\\.)[^`]*)`")
	story   = regexp.MustCompile(`testdata/\w+\.txt`)
)

// A command that selects no test succeeds: docs/guarantees.md must not name one.
func TestEveryGuaranteeNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../docs/guarantees.md")
	require.NoError(t, err)
	commands := command.FindAllStringSubmatch(strings.ReplaceAll(string(text), `\|`, "|"), -1)
	require.Greater(t, len(commands), 12)
	for _, c := range commands {
		tests := testsIn(t, filepath.Join("..", c[2], c[4]))
		for alternative := range strings.SplitSeq(c[3], "|") {
			pattern, err := regexp.Compile(alternative)
			require.NoError(t, err)
			require.True(t, slices.ContainsFunc(tests, pattern.MatchString), "no test is named %s: %s", alternative, c[1])
		}
	}
	for _, s := range story.FindAllString(string(text), -1) {
		require.FileExists(t, filepath.Join("internal", "ledger", s))
	}
}

// testsIn returns the tests and fuzz targets of a folder.
func testsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files, folder)
	for _, f := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}
