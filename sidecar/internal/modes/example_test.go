package modes_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The example fails closed. That Envoy understands it, Envoy says: make long-envoy.
func TestExample(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "envoy", "envoy.yaml"))
	require.NoError(t, err)
	var config struct {
		Resources struct {
			Listeners []struct {
				Chains []struct {
					Filters []struct {
						Config struct {
							RemoteAddress bool `yaml:"use_remote_address"`
							Normalize     bool `yaml:"normalize_path"`
							Filters       []struct {
								Name   string
								Config struct {
									Allow bool `yaml:"failure_mode_allow"`
									Raw   bool `yaml:"encode_raw_headers"`
								} `yaml:"typed_config"`
							} `yaml:"http_filters"`
						} `yaml:"typed_config"`
					}
				} `yaml:"filter_chains"`
			}
		} `yaml:"static_resources"`
	}
	require.NoError(t, yaml.Unmarshal(content, &config))
	manager := config.Resources.Listeners[0].Chains[0].Filters[0].Config
	require.True(t, manager.RemoteAddress)
	require.False(t, manager.Normalize)
	require.Equal(t, "envoy.filters.http.ext_authz", manager.Filters[0].Name, "before every other")
	require.False(t, manager.Filters[0].Config.Allow)
	require.True(t, manager.Filters[0].Config.Raw)
}
