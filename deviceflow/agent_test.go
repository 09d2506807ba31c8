package deviceflow_test

import (
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"countersign.dev/details"
	"countersign.dev/deviceflow"
	"countersign.dev/dpop"
)

func TestP13_AnAgentSaysWhoItIsAndProvesItsKeyWithEachRequest(t *testing.T) {
	t.Parallel()
	key, err := dpop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	list, err := details.Parse([]byte(`[{"type":"spend","currency":"USD","per_day":"20"}]`))
	if err != nil {
		t.Fatal(err)
	}
	var asked url.Values
	proofs := 0
	client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if p, err := dpop.Parse(r.Header.Get(dpop.Header)); err == nil && p.Thumbprint == key.Thumbprint() && p.VerifySignature() == nil {
			proofs++
		}
		if r.PostForm.Get("grant_type") != "" {
			writeJSON(w, http.StatusOK, map[string]any{
				"access_token": "a", "token_type": "DPoP", "expires_in": 900, "refresh_token": "r", "agent_id": "the-agent",
				"authorization_details": []any{map[string]any{"type": "spend", "currency": "USD", "per_day": "5.00", "payments": 3}},
			})
			return
		}
		asked = r.PostForm
		writeJSON(w, http.StatusOK, map[string]any{
			"device_code": "code", "user_code": "BCDF-GHJK", "verification_uri": "https://id.example.org/device", "expires_in": 900, "interval": 5,
			"agent_id": "the-agent", "lifetime": 3600, "depth": 1,
		})
	}))
	c := device(client)
	c.WithAgent("Shopper", key).WithAuthorizationDetails(list)
	c.Agent.Reason, c.Agent.Lifetime, c.Agent.Depth = "Buy paper", 2*time.Hour, 2
	a, err := c.Request(t.Context())
	if err != nil || a.AgentID != "the-agent" || a.Lifetime != time.Hour || a.Depth != 1 {
		t.Fatalf("%+v %v", a, err)
	}
	for name, want := range map[string]string{
		"agent_name": "Shopper", "agent_reason": "Buy paper", "lifetime": "7200", "depth": "2", "authorization_details": `[{"currency":"USD","per_day":"20.00","type":"spend"}]`,
	} {
		if asked.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, asked.Get(name), want)
		}
	}
	token, err := c.Wait(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	id, may, err := deviceflow.AgentOf(token)
	if want := int64(500); err != nil || id != "the-agent" || len(may) != 1 || may[0].Limits[details.PerDay] != want || may[0].Limits[details.Payments] != 3 {
		t.Errorf("%s %v %v", id, may, err)
	}
	if _, err := c.Refresh(t.Context(), token.RefreshToken); err != nil || proofs != 3 {
		t.Errorf("%d of 3 requests were proved: %v", proofs, err)
	}
	// A token of no agent names none, and what is not known is no permission.
	if id, may, err := deviceflow.AgentOf(&oauth2.Token{}); id != "" || may != nil || err != nil {
		t.Errorf("%s %v %v", id, may, err)
	}
	strange := (&oauth2.Token{}).WithExtra(map[string]any{"authorization_details": []any{map[string]any{"type": "trade"}}})
	if _, may, err := deviceflow.AgentOf(strange); may != nil || err == nil {
		t.Errorf("%v %v", may, err)
	}
	// What an agent alone says goes with its name only.
	c.Agent.Name = ""
	if _, err := c.Request(t.Context()); err != nil || !reflect.DeepEqual(asked["agent_reason"], []string(nil)) || asked.Get("authorization_details") != "" {
		t.Errorf("%v %v", asked, err)
	}
}
