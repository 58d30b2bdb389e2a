package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A goModule is one module of the repository.
type goModule struct {
	dir  string // relative to the repository's root, with slashes; "." for the root module
	path string
	file *modfile.File
}

// public reports whether the module is for others to require.
func (m goModule) public() bool {
	first, _, _ := strings.Cut(m.dir, "/")
	return first != "internal" && first != "examples"
}

// findModules returns the modules of the repository, the root module first.
func findModules(repo string) ([]goModule, error) {
	var modules []goModule
	err := filepath.WalkDir(repo, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			base := entry.Name()
			if name != repo && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if entry.Name() != "go.mod" {
			return nil
		}
		m, err := readModule(repo, name)
		if err != nil {
			return err
		}
		modules = append(modules, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The walk is in lexical order, in which the root's go.mod comes after its folders.
	for i, m := range modules {
		if m.dir == "." {
			copy(modules[1:i+1], modules[:i])
			modules[0] = m
			return modules, nil
		}
	}
	return nil, fmt.Errorf("no go.mod in %s", repo)
}

func readModule(repo, name string) (goModule, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return goModule{}, err
	}
	file, err := modfile.Parse(name, data, nil)
	if err != nil {
		return goModule{}, err
	}
	dir, err := filepath.Rel(repo, filepath.Dir(name))
	if err != nil {
		return goModule{}, err
	}
	return goModule{dir: filepath.ToSlash(dir), path: file.Module.Mod.Path, file: file}, nil
}

// requiredVersions returns the version of each public module: the one that the other modules require, or the root
// module's for those that nobody requires. All modules have to agree on it, because they are released together.
func requiredVersions(modules []goModule) (map[string]string, error) {
	versions := map[string]string{} // module path → version
	by := map[string]string{}       // module path → who requires that version
	public := map[string]bool{}
	for _, m := range modules {
		public[m.path] = m.public()
	}

	var errs []error
	for _, m := range modules {
		for _, r := range m.file.Require {
			path, version := r.Mod.Path, r.Mod.Version
			if !public[path] {
				continue
			}
			if err := checkRelease(version); err != nil {
				errs = append(errs, fmt.Errorf("%s/go.mod requires %s %s: %w", m.dir, path, version, err))
				continue
			}
			if known, ok := versions[path]; ok && known != version {
				errs = append(errs, fmt.Errorf("%s/go.mod requires %s %s, but %s/go.mod %s: let them agree",
					m.dir, path, version, by[path], known))
				continue
			}
			versions[path], by[path] = version, m.dir
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}

	root := modules[0].path
	if versions[root] == "" {
		return nil, fmt.Errorf("no module requires %s: there is nothing to check", root)
	}
	for path := range public {
		if public[path] && versions[path] == "" {
			versions[path] = versions[root]
		}
	}
	return versions, nil
}

// checkRelease tells whether the version is one that a tag can give.
func checkRelease(version string) error {
	if !semver.IsValid(version) || module.IsPseudoVersion(version) || module.IsZeroPseudoVersion(version) {
		return errors.New("name the release being worked on (CONTRIBUTING.md); replace hides what nobody else can resolve")
	}
	return nil
}
