package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// A consumer is a module outside the repository that requires the released ones.
type consumer struct {
	dir      string
	modCache string // its own, so that the shared one never keeps a zip of a version that is not released
	proxy    string
}

// write makes the consumer's folder: the app's source, a go.mod and a go.sum.
func (c consumer) write(repo, app string, releases []release) error {
	if err := os.CopyFS(c.dir, os.DirFS(app)); err != nil {
		return err
	}

	mod := new(modfile.File)
	if err := mod.AddModuleStmt("example.com/consumer"); err != nil {
		return err
	}
	if err := mod.AddGoStmt(releases[0].module.file.Go.Version); err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, r := range releases {
		if err := mod.AddRequire(r.module.path, r.version); err != nil {
			return err
		}
		// The sums of what the modules require are known here; the checksum database need not be asked again.
		sum, err := os.ReadFile(filepath.Join(repo, r.module.dir, "go.sum"))
		if err != nil {
			return err
		}
		sums.Write(sum)
	}
	data, err := mod.Format()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.dir, "go.mod"), data, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, "go.sum"), sums.Bytes(), 0o644)
}

// build compiles the app and every package of the released modules.
func (c consumer) build(ctx context.Context, releases []release) error {
	prefix := releases[0].module.path
	shared, err := goEnv(ctx, "GOMODCACHE")
	if err != nil {
		return err
	}
	proxies, err := goEnv(ctx, "GOPROXY")
	if err != nil {
		return err
	}
	env := append(os.Environ(),
		"GOPROXY="+strings.Join([]string{fileURL(c.proxy), fileURL(filepath.Join(shared, "cache", "download")), proxies}, ","),
		"GONOPROXY=none",
		"GONOSUMDB="+prefix,
		"GOMODCACHE="+c.modCache,
		"GOWORK=off",
		// Trimmed paths let the build cache serve the next run, whose folders have other names. modcacherw lets the
		// module cache be removed.
		"GOFLAGS=-mod=mod -modcacherw -trimpath -buildvcs=false",
	)

	// -o to a folder: the program is linked, which a build of several packages would leave out.
	if err := c.run(ctx, env, "build", "-o", filepath.Join(c.dir, "bin")+string(filepath.Separator), "."); err != nil {
		return fmt.Errorf("build a program that uses the modules: %w", err)
	}
	for _, r := range releases {
		if err := c.run(ctx, env, "build", r.module.path+"/..."); err != nil {
			return fmt.Errorf("build every package of %s@%s: %w", r.module.path, r.version, err)
		}
	}
	return nil
}

func (c consumer) run(ctx context.Context, env []string, args ...string) error {
	fmt.Println("go", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = c.dir
	cmd.Env = env
	cmd.Stdout = os.Stdout
	// What go downloads is of interest only if it fails, and then its last lines tell.
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, stderr.String())
	}
	return nil
}

func goEnv(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", name).Output()
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	return "file://" + path
}
