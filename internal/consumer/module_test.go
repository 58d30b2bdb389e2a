package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestModulesAreReleasedAsTheVersionThatIsRequired(t *testing.T) {
	for name, tc := range map[string]struct {
		repo map[string]string // folder → the rest of its go.mod
		want map[string]string // module → version
		err  string
	}{
		"the required one, and the root's for what nobody requires": {
			repo: map[string]string{
				"journal": "require example.com/box v0.2.0\nreplace example.com/box => ..",
				"broker":  "require example.com/box v0.2.0",
			},
			want: map[string]string{"example.com/box": "v0.2.0", "example.com/box/journal": "v0.2.0", "example.com/box/broker": "v0.2.0"},
		},
		"programs have no version, but a say": {
			repo: map[string]string{
				"journal":       "require example.com/box v0.2.0",
				"examples/shop": "require (\n example.com/box v0.2.0\n example.com/box/journal v0.2.1\n)",
			},
			want: map[string]string{"example.com/box": "v0.2.0", "example.com/box/journal": "v0.2.1"},
		},
		"modules that disagree": {
			repo: map[string]string{"broker": "require example.com/box v0.1.0", "journal": "require example.com/box v0.2.0"},
			err:  "journal/go.mod requires example.com/box v0.2.0, but broker/go.mod v0.1.0",
		},
		"the placeholder that go mod tidy writes for what is replaced": {
			repo: map[string]string{"journal": "require example.com/box v0.0.0-00010101000000-000000000000"},
			err:  "name the release",
		},
		"a commit": {
			repo: map[string]string{"journal": "require example.com/box v0.1.1-0.20260102030405-0123456789ab"},
			err:  "name the release",
		},
		"nothing to check": {
			err: "no module requires example.com/box",
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := t.TempDir()
			writeModule(t, repo, ".", "")
			for dir, text := range tc.repo {
				writeModule(t, repo, dir, text)
			}
			// Neither is part of the repository's code.
			writeModule(t, repo, "journal/testdata/other", "require example.com/box v9.9.9")
			writeModule(t, repo, ".cache/other", "require example.com/box v9.9.9")

			modules, err := findModules(repo)
			require.NoError(t, err)
			require.Equal(t, ".", modules[0].dir)

			got, err := requiredVersions(modules)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
}

func writeModule(t *testing.T, repo, dir, text string) {
	t.Helper()
	path := "example.com/box"
	if dir != "." {
		path += "/" + dir
	}
	folder := filepath.Join(repo, filepath.FromSlash(dir))
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module "+path+"\ngo 1.26.0\n"+text+"\n"), 0o644))
}
