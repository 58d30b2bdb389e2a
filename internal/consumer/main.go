// Command consumer checks that a program outside this repository can use its modules.
//
// Within the repository every module reaches its neighbours by a replace directive, which hides a require that names
// no real version, or a file that the module's zip does not carry. Nobody else sees that directive. So the command
// packs each public module (every one but those under internal/ and examples/) from the working tree, as the version
// that the others require, serves them to the go command as a GOPROXY of files, and builds testdata/app with them in a
// folder of its own.
//
// It downloads nothing that the module cache already has, leaves nothing there, and needs git to know which files
// belong to the repository.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	repo := flag.String("repo", "../..", "the repository's root folder")
	app := flag.String("app", "testdata/app", "the folder with the program that consumes the modules")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := check(ctx, *repo, *app)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "consumer:", err)
		os.Exit(1)
	}
}

// check packs the modules of the repository and builds the app with them, and all their packages besides.
func check(ctx context.Context, repo, app string) (err error) {
	repo, err = filepath.Abs(repo)
	if err != nil {
		return err
	}
	modules, err := findModules(repo)
	if err != nil {
		return err
	}
	versions, err := requiredVersions(modules)
	if err != nil {
		return err
	}

	work, err := os.MkdirTemp("", "outbox-consumer-")
	if err != nil {
		return err
	}
	defer func() {
		if removeErr := os.RemoveAll(work); err == nil {
			err = removeErr
		}
	}()

	proxy := filepath.Join(work, "proxy")
	var public []release
	for _, m := range modules {
		if !m.public() {
			continue
		}
		r := release{module: m, version: versions[m.path]}
		if err := r.pack(ctx, repo, proxy); err != nil {
			return fmt.Errorf("pack %s@%s: %w", m.path, r.version, err)
		}
		fmt.Printf("packed %s@%s\n", m.path, r.version)
		public = append(public, r)
	}

	c := consumer{dir: filepath.Join(work, "app"), modCache: filepath.Join(work, "modcache"), proxy: proxy}
	if err := c.write(repo, app, public); err != nil {
		return fmt.Errorf("write the consumer: %w", err)
	}
	return c.build(ctx, public)
}
