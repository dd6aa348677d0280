// SPDX-License-Identifier: Apache-2.0

// package-reader reads a Function package as Crossplane core does before it installs one: the same extraction of
// package.yaml, the same parser and schemes, the same linter. Prints what it found as JSON; exits 1 with the reason.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	pkgmetav1 "github.com/crossplane/crossplane/apis/v2/pkg/meta/v1"

	"github.com/crossplane/crossplane-runtime/v2/pkg/xpkg"
	"github.com/crossplane/crossplane-runtime/v2/pkg/xpkg/parser"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	image, err := open(path)
	if err != nil {
		return err
	}
	stream, err := xpkg.ExtractPackageYAML(image)
	if err != nil {
		return err
	}
	meta, err := xpkg.BuildMetaScheme()
	if err != nil {
		return err
	}
	objects, err := xpkg.BuildObjectScheme()
	if err != nil {
		return err
	}
	pkg, err := parser.New(meta, objects).Parse(context.Background(), stream)
	if err != nil {
		return err
	}
	if err := xpkg.NewFunctionLinter().Lint(pkg); err != nil {
		return err
	}
	converted, _ := xpkg.TryConvert(pkg.GetMeta()[0], &pkgmetav1.Function{})
	function, ok := converted.(*pkgmetav1.Function)
	if !ok {
		return fmt.Errorf("the metadata is no Function")
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"name":         function.Name,
		"capabilities": function.Spec.Capabilities,
		"objects":      len(pkg.GetObjects()),
		"entrypoint":   config.Config.Entrypoint,
		"user":         config.Config.User,
	})
}

// open takes an OCI layout's folder or an .xpkg file, which is a tarball of an image.
func open(path string) (v1.Image, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return tarball.ImageFromPath(path, nil)
	}
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	return index.Image(manifest.Manifests[0].Digest)
}
