package providers_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/cluster"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/protoactor-contrib/protoactor-outbox/examples/cluster/providers"
)

// What docs/cluster.md shows is what is compiled here.
func TestTheDocumentationShowsThisCode(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../../docs/cluster.md"))
	require.NoError(t, err)
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	shown := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				code := string(source[files.Position(f.Pos()).Offset:files.Position(f.End()).Offset])
				require.Contains(t, string(text), code, name)
				shown++
			}
		}
	}
	require.Equal(t, 4, shown)
}

// Without their services, the clients are made all the same: they connect when the member starts. Kubernetes is asked for the
// pod's own credentials at once.
func TestProvidersAreMade(t *testing.T) {
	consul, err := providers.Consul("127.0.0.1:1")
	require.NoError(t, err)
	etcd, err := providers.Etcd("127.0.0.1:1")
	require.NoError(t, err)
	for _, p := range []cluster.ClusterProvider{consul, etcd} {
		require.NotNil(t, p)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("POD_IP", "10.0.0.7")
	_, remote, err := providers.Kubernetes()
	require.ErrorIs(t, err, rest.ErrNotInCluster)
	require.Equal(t, "10.0.0.7:8090", remote.AdvertisedHost)
}
