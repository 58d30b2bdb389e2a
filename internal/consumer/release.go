package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// A release is a module as the version that others require.
type release struct {
	module  goModule
	version string
}

// pack writes the release into the folder proxy, as the go command expects a GOPROXY to answer.
func (r release) pack(ctx context.Context, repo, proxy string) error {
	escaped, err := module.EscapePath(r.module.path)
	if err != nil {
		return err
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}

	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{r.version, time.Now().UTC()})
	if err != nil {
		return err
	}
	goMod, err := os.ReadFile(filepath.Join(repo, r.module.dir, "go.mod"))
	if err != nil {
		return err
	}
	base := filepath.Join(dir, r.version)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "list"), []byte(r.version+"\n"), 0o644),
		os.WriteFile(base+".info", info, 0o644),
		os.WriteFile(base+".mod", goMod, 0o644),
		r.packFiles(ctx, repo, base+".zip"),
	)
}

func (r release) packFiles(ctx context.Context, repo, name string) error {
	files, err := repositoryFiles(ctx, filepath.Join(repo, r.module.dir))
	if err != nil {
		return err
	}
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	// Create leaves out what belongs to the modules below.
	err = zip.Create(out, module.Version{Path: r.module.path, Version: r.version}, files)
	return errors.Join(err, out.Close())
}

// repositoryFiles returns the files below dir that are, or would be after `git add`, in the repository.
func repositoryFiles(ctx context.Context, dir string) ([]zip.File, error) {
	git := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = dir
	git.Stderr = os.Stderr
	names, err := git.Output()
	if err != nil {
		return nil, fmt.Errorf("list the files in %s: %w", dir, err)
	}
	var files []zip.File
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		f := file{dir: dir, name: name}
		if _, err := f.Lstat(); errors.Is(err, fs.ErrNotExist) {
			continue // deleted, but not yet in the index
		}
		files = append(files, f)
	}
	return files, nil
}

// A file is one file of a module; its name is relative to dir, with slashes.
type file struct{ dir, name string }

func (f file) Path() string                 { return f.name }
func (f file) Lstat() (os.FileInfo, error)  { return os.Lstat(f.onDisk()) }
func (f file) Open() (io.ReadCloser, error) { return os.Open(f.onDisk()) }
func (f file) onDisk() string               { return filepath.Join(f.dir, filepath.FromSlash(f.name)) }
