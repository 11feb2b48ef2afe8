package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeBill writes a program's bill. The same program gives the same bytes: no
// time of day, and a serial number that is made of the file it is about.
func writeBill(file, name, version string, p program) error {
	content, err := os.ReadFile(strings.TrimSuffix(file, ".cdx.json"))
	if err != nil {
		return err
	}
	digest := sha256.Sum256(content)
	bill := cdx.NewBOM()
	bill.SerialNumber = serial(digest)
	main := cdx.Component{
		BOMRef: name, Type: cdx.ComponentTypeApplication, Name: name, Version: version,
		Hashes:   &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(digest[:])}},
		Licenses: licences([]string{"MIT"}),
	}
	var how []cdx.Property
	for _, set := range p.info.Settings {
		how = append(how, cdx.Property{Name: "go:build:" + set.Key, Value: set.Value})
	}
	main.Properties = &how
	bill.Metadata = &cdx.Metadata{Component: &main}
	var components []cdx.Component
	var refs []string
	for _, c := range p.components {
		part, err := c.bill()
		if err != nil {
			return err
		}
		components, refs = append(components, part), append(refs, part.BOMRef)
	}
	bill.Components = &components
	// What is linked is known; which of it needs which is not asked.
	bill.Dependencies = &[]cdx.Dependency{{Ref: name, Dependencies: &refs}}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bill, cdx.SpecVersion1_6); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644) //nolint:gosec // for everybody
}

// serial is a name-based UUID (RFC 9562 section 5.8).
func serial(digest [sha256.Size]byte) string {
	id := digest
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

func (c component) bill() (cdx.Component, error) {
	part := cdx.Component{Type: cdx.ComponentTypeLibrary, Scope: cdx.ScopeRequired, Name: c.name, Version: c.version, Licenses: licences(c.licences)}
	part.PackageURL = fmt.Sprintf("pkg:%s/%s@%s", c.kind, c.name, url.PathEscape(c.version))
	part.BOMRef = part.PackageURL
	if c.sum != "" {
		hash, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(c.sum, "h1:"))
		if err != nil {
			return part, fmt.Errorf("%s: go.sum: %w", c.name, err)
		}
		part.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(hash)}}
	}
	return part, nil
}

func licences(ids []string) *cdx.Licenses {
	var choices cdx.Licenses
	for _, id := range ids {
		choices = append(choices, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return &choices
}

// readBill reads what npm says of a package. A licence that is an expression
// stays one: nothing allows it until somebody has read it.
func readBill(file string) ([]component, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // only read
	var bill cdx.BOM
	if err := cdx.NewBOMDecoder(in, cdx.BOMFileFormatJSON).Decode(&bill); err != nil {
		return nil, err
	}
	if bill.Metadata == nil || bill.Metadata.Component == nil || bill.Components == nil {
		return nil, fmt.Errorf("not a bill of a package")
	}
	var read []component
	for _, part := range *bill.Components {
		c := component{kind: "npm", name: part.Name, version: part.Version, in: []string{bill.Metadata.Component.Name}}
		if part.Group != "" {
			c.name = part.Group + "/" + part.Name
		}
		if part.Licenses != nil {
			for _, choice := range *part.Licenses {
				if choice.License != nil {
					c.licences = append(c.licences, choice.License.ID+choice.License.Name)
				} else {
					c.licences = append(c.licences, choice.Expression)
				}
			}
		}
		read = append(read, c)
	}
	return read, nil
}
