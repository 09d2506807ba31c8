package deviceflow_test

import (
	"net/http"
	"net/url"
	"reflect"
	"testing"
)

func TestARequestSaysWhatIsSetAndNothingElse(t *testing.T) {
	var form url.Values
	client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		form = r.PostForm
		writeJSON(w, http.StatusOK, map[string]any{
			"device_code": "code", "user_code": "BCDF-GHJK", "verification_uri": "https://id.example.org/device", "expires_in": 900, "interval": 5,
		})
	}))
	bare, full := device(client), device(client)
	bare.Scopes = nil
	full.Scopes, full.NumberMatch, full.DeviceName, full.DevicePlatform, full.Nonce = []string{"openid", "profile"}, true, "press-01", "linux", "n-1"
	full.Resources = []string{"https://a.example", "https://b.example"}
	more := url.Values{
		"resource":  full.Resources,
		"client_id": {full.ClientID}, "scope": {"openid profile"}, "number_match": {"true"}, "device_name": {"press-01"}, "device_platform": {"linux"}, "nonce": {"n-1"},
	}
	if _, err := bare.Request(t.Context()); err != nil || !reflect.DeepEqual(form, url.Values{"client_id": {bare.ClientID}}) {
		t.Errorf("%v, %v", form, err)
	}
	if _, err := full.Request(t.Context()); err != nil || !reflect.DeepEqual(form, more) {
		t.Errorf("%v, %v", form, err)
	}
}
