package agentidp

import (
	"crypto"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The environment.
const (
	envURL             = "AGENTIDP_URL"
	envClientID        = "AGENTIDP_CLIENT_ID"
	envClientSecret    = "AGENTIDP_CLIENT_SECRET"
	envSecretFile      = "AGENTIDP_CLIENT_SECRET_FILE"
	envPrivateKeyFile  = "AGENTIDP_PRIVATE_KEY_FILE"
	envKeyID           = "AGENTIDP_KEY_ID"
	envCredentialsFile = "AGENTIDP_CREDENTIALS_FILE" //nolint:gosec // G101: the name of one
)

// FromEnvironment reads AGENTIDP_URL, AGENTIDP_CLIENT_ID and one proof of it:
// AGENTIDP_CLIENT_SECRET, the file of AGENTIDP_CLIENT_SECRET_FILE, or the private
// key in the file of AGENTIDP_PRIVATE_KEY_FILE, whose kid is AGENTIDP_KEY_ID. Or
// all of it from the file of AGENTIDP_CREDENTIALS_FILE, as FromFile does.
func FromEnvironment() (Config, error) { return FromLookup(os.Getenv) }

// FromLookup is FromEnvironment for an environment of the caller's.
func FromLookup(getenv func(name string) string) (Config, error) {
	if path := getenv(envCredentialsFile); path != "" {
		return fromCredentialsFile(getenv, path)
	}
	c := Config{URL: strings.TrimSuffix(getenv(envURL), "/"), ClientID: getenv(envClientID), ClientSecret: getenv(envClientSecret), KeyID: getenv(envKeyID)}
	if path := getenv(envSecretFile); path != "" {
		if c.ClientSecret != "" {
			return c, fmt.Errorf("agentidp: %s and %s are both set", envClientSecret, envSecretFile)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return c, fmt.Errorf("agentidp: %s: %w", envSecretFile, err)
		}
		c.ClientSecret = strings.TrimSpace(string(content))
	}
	if path := getenv(envPrivateKeyFile); path != "" {
		var err error
		if c.PrivateKey, err = readPrivateKey(path); err != nil {
			return c, fmt.Errorf("agentidp: %s: %w", envPrivateKeyFile, err)
		}
	}
	return c, c.validate()
}

// fromCredentialsFile takes no more from the environment than the address: a
// credential and its proof come from one place.
func fromCredentialsFile(getenv func(string) string, path string) (Config, error) {
	for _, name := range []string{envClientID, envClientSecret, envSecretFile, envPrivateKeyFile, envKeyID} {
		if getenv(name) != "" {
			return Config{}, fmt.Errorf("agentidp: %s and %s are both set", envCredentialsFile, name)
		}
	}
	c, err := readCredentials(path)
	if err != nil {
		return c, fmt.Errorf("agentidp: %s: %w", envCredentialsFile, err)
	}
	address := strings.TrimSuffix(getenv(envURL), "/")
	if c.URL != "" && address != "" && c.URL != address {
		return c, fmt.Errorf("agentidp: %s and the file of %s name different addresses", envURL, envCredentialsFile)
	}
	if c.URL == "" {
		c.URL = address
	}
	return c, c.validate()
}

// FromFile reads a credentials file: a JSON object with clientId, clientSecret or
// privateKeyFile (a PEM file, relative to this one) and keyId, and url. Other
// members are ignored, so that the IdP's answer to a new credential is such a
// file, once it has a url.
func FromFile(path string) (Config, error) {
	c, err := readCredentials(path)
	if err != nil {
		return c, fmt.Errorf("agentidp: %w", err)
	}
	return c, c.validate()
}

func readCredentials(path string) (Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	var file struct {
		URL            string `json:"url"`
		ClientID       string `json:"clientId"`
		ClientSecret   string `json:"clientSecret"`
		PrivateKeyFile string `json:"privateKeyFile"`
		KeyID          string `json:"keyId"`
	}
	if json.Unmarshal(content, &file) != nil { // its error would name what stands there
		return Config{}, fmt.Errorf("%s is no JSON object of strings", path)
	}
	if (file.ClientSecret == "") == (file.PrivateKeyFile == "") {
		return Config{}, fmt.Errorf("%s must have one of clientSecret and privateKeyFile", path)
	}
	c := Config{URL: strings.TrimSuffix(file.URL, "/"), ClientID: file.ClientID, ClientSecret: file.ClientSecret, KeyID: file.KeyID}
	if file.PrivateKeyFile == "" {
		return c, nil
	}
	if !filepath.IsAbs(file.PrivateKeyFile) {
		file.PrivateKeyFile = filepath.Join(filepath.Dir(path), file.PrivateKeyFile)
	}
	c.PrivateKey, err = readPrivateKey(file.PrivateKeyFile)
	return c, err
}

func readPrivateKey(path string) (crypto.Signer, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParsePrivateKey(content)
}
