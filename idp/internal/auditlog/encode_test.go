package auditlog

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
)

func TestEncodeIsRFC8785(t *testing.T) {
	e := idp.Event{
		ID: "e1", Sequence: 17, OrganizationID: "default", AgentID: "a1", Action: idp.ActionTokenIssued, Outcome: idp.Success,
		Reason: "why", Origin: idp.Origin{IPAddress: "::1", UserAgent: "curl/8 \"x\"\\\x01\n", RequestID: "r1"},
		Timestamp: time.Date(2026, 7, 1, 12, 0, 0, 5_000_000, time.UTC),
		Metadata: map[string]any{
			"z": int64(1), "a": 2, "list": []string{"x", "€"}, "nested": map[string]any{"b": true, "a": nil}, "f": 0.25, "any": []any{"s", 1.5, false},
		},
	}
	body, err := Encode(&e)
	require.NoError(t, err)
	require.Equal(t, `{"action":"token.issued","agentId":"a1","eventId":"e1","ipAddress":"::1",`+
		`"metadata":{"a":2,"any":["s",1.5,false],"f":0.25,"list":["x","€"],"nested":{"a":null,"b":true},"z":1},`+
		`"organizationId":"default","outcome":"success","reason":"why","requestId":"r1","sequence":17,"timestamp":"2026-07-01T12:00:00.005Z",`+
		`"userAgent":"curl/8 \"x\"\\\u0001\n"}`, string(body))

	body, err = Encode(&idp.Event{ID: "e", OrganizationID: "o", Action: "a.b", Outcome: idp.Denied})
	require.NoError(t, err)
	require.Equal(t, `{"action":"a.b","eventId":"e","organizationId":"o","outcome":"denied","sequence":0,"timestamp":"0001-01-01T00:00:00.000Z"}`, string(body))
}

// RFC 8785 section 3.2.3 sorts by UTF-16 code units, appendix B gives the numbers.
func TestCanonicalOrderAndNumbers(t *testing.T) {
	body, err := appendValue(nil, map[string]any{"€": "", "\r": "", "\uFB33": "", "1": "", "😀": "", "\u0080": "", "ö": ""})
	require.NoError(t, err)
	require.Equal(t, `{"\r":"","1":"","`+"\u0080"+`":"","ö":"","€":"","😀":"","`+"\uFB33"+`":""}`, string(body))

	for bits, want := range map[uint64]string{
		0x0000000000000000: "0", 0x8000000000000000: "0", 0x0000000000000001: "5e-324", 0x7fefffffffffffff: "1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992", 0x4430000000000000: "295147905179352830000", 0x44b52d02c7e14af5: "9.999999999999997e+22",
		0x444b1ae4d6e2ef4e: "999999999999999700000", 0x444b1ae4d6e2ef50: "1e+21", 0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7", 0x3eb0c6f7a0b5ed8d: "0.000001",
		0x41b3de4355555553: "333333333.3333332", 0xbecbf647612f3696: "-0.0000033333333333333333",
	} {
		got, err := appendFloat(nil, math.Float64frombits(bits))
		require.NoError(t, err)
		require.Equal(t, want, string(got), "%x", bits)
	}
	for _, bad := range []any{math.NaN(), math.Inf(1), struct{}{}, uint8(1), []any{[]byte("x")}, map[string]any{"a": math.Inf(-1)}} {
		_, err := appendValue(nil, bad)
		require.ErrorIs(t, err, errEncode)
	}
}

func FuzzEncodeRoundTrip(f *testing.F) {
	f.Add("agent", "value", "\x00\x1f\"\\\u2028")
	f.Add("\xff", "é", "😀")
	f.Fuzz(func(t *testing.T, agent, value, userAgent string) {
		e := idp.Event{ID: "e", OrganizationID: "o", Action: "a.b", Outcome: idp.Success, AgentID: agent, Origin: idp.Origin{UserAgent: userAgent}, Metadata: map[string]any{"v": value}}
		body, err := Encode(&e)
		require.NoError(t, err)
		var back struct {
			AgentID, UserAgent string
			Metadata           map[string]string
		}
		require.NoError(t, json.Unmarshal(body, &back))
		require.Equal(t, strings.ToValidUTF8(agent, "\uFFFD"), back.AgentID)
		require.Equal(t, strings.ToValidUTF8(userAgent, "\uFFFD"), back.UserAgent)
		require.Equal(t, strings.ToValidUTF8(value, "\uFFFD"), back.Metadata["v"])
	})
}
