package ledger

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Linters keep clocks, randomness and locks out of the ledger. They do not see statements: no goroutine, channel or
// select may be in it either, or its simulation would prove nothing.
func TestTheLedgerIsSequential(t *testing.T) {
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	looked := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		looked++
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, f.Name(), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
				t.Errorf("%s: %T in the ledger", positions.Position(n.Pos()), n)
			}
			return true
		})
	}
	require.NotZero(t, looked)
}
