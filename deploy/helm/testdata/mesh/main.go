// Mesh ends with status 0 when its input is a MeshConfig of Istio, as JSON. It is a
// module of its own, so that Istio stays out of the product's graph.
package main

import (
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	mesh "istio.io/api/mesh/v1alpha1"
)

func main() {
	in, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = protojson.Unmarshal(in, &mesh.MeshConfig{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
