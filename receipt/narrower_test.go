package receipt_test

import (
	"encoding/json"
	"strings"
	"testing"

	"countersign.dev/receipt"
)

// widest is an owner's statement of the vectors, as wide as it could be.
func widest(t *testing.T) receipt.Delegation {
	t.Helper()
	d, err := receipt.ParseDelegation(known().Statement)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAnOwnerMayNarrowAStatementAndChangeNothingElse(t *testing.T) {
	t.Parallel()
	detailsOf := func(from, to string) func(*receipt.Delegation) {
		return func(d *receipt.Delegation) {
			d.Details = json.RawMessage(strings.Replace(string(d.Details), from, to, 1))
		}
	}
	for name, c := range map[string]struct {
		change func(*receipt.Delegation)
		refuse string
	}{
		"as it is":                {func(*receipt.Delegation) {}, ""},
		"one scope less":          {func(d *receipt.Delegation) { d.Scope = "profile" }, ""},
		"no scope":                {func(d *receipt.Delegation) { d.Scope = "" }, ""},
		"one resource less":       {func(d *receipt.Delegation) { d.Resource = d.Resource[1:] }, ""},
		"no resource":             {func(d *receipt.Delegation) { d.Resource = nil }, ""},
		"resources turned round":  {func(d *receipt.Delegation) { d.Resource = []string{d.Resource[1], d.Resource[0]} }, ""},
		"one cent less":           {detailsOf(`"20.00"`, `"19.99"`), ""},
		"no details":              {func(d *receipt.Delegation) { d.Details = json.RawMessage("[]") }, ""},
		"a generation less":       {func(d *receipt.Delegation) { d.Depth-- }, ""},
		"a second less":           {func(d *receipt.Delegation) { d.NotAfter-- }, ""},
		"more presence":           {func(d *receipt.Delegation) { d.Presence = receipt.PresenceOtherDevice }, ""},
		"less presence":           {func(d *receipt.Delegation) { d.Presence = receipt.PresenceKey }, ""},
		"one scope more":          {func(d *receipt.Delegation) { d.Scope += " spend" }, "scope"},
		"scopes turned round":     {func(d *receipt.Delegation) { d.Scope = "profile openid" }, "scope"},
		"a scope twice":           {func(d *receipt.Delegation) { d.Scope = "openid" + " openid" }, "scope"},
		"scopes far apart":        {func(d *receipt.Delegation) { d.Scope = "openid  profile" }, "scope"},
		"a blank scope":           {func(d *receipt.Delegation) { d.Scope = " " }, "scope"},
		"another resource":        {func(d *receipt.Delegation) { d.Resource = []string{"https://other.example"} }, "resource"},
		"a resource twice":        {func(d *receipt.Delegation) { d.Resource = []string{d.Resource[0], d.Resource[0]} }, "resource"},
		"one cent more":           {detailsOf(`"20.00"`, `"20.01"`), "authorization_details"},
		"a constraint more":       {detailsOf(`"max":1000`, `"max":1001`), "authorization_details"},
		"details that are none":   {detailsOf(`"type":"spend"`, `"type":"lend"`), "authorization_details"},
		"a generation more":       {func(d *receipt.Delegation) { d.Depth++ }, "depth"},
		"a second more":           {func(d *receipt.Delegation) { d.NotAfter++ }, "not_after"},
		"another agent's name":    {func(d *receipt.Delegation) { d.Agent.Name += "!" }, "something else"},
		"another agent":           {func(d *receipt.Delegation) { d.Agent.JKT = strings.Repeat("A", 43) }, "something else"},
		"another owner":           {func(d *receipt.Delegation) { d.BAPID += "x" }, "something else"},
		"another client":          {func(d *receipt.Delegation) { d.ClientID += "x" }, "something else"},
		"another server":          {func(d *receipt.Delegation) { d.Issuer += "x" }, "something else"},
		"another request":         {func(d *receipt.Delegation) { d.Nonce += "x" }, "something else"},
		"another code":            {func(d *receipt.Delegation) { d.UserCodeHash = strings.Repeat("0", 64) }, "something else"},
		"another purpose":         {func(d *receipt.Delegation) { d.Purpose = receipt.PurposeSubdelegation }, "something else"},
		"another time of signing": {func(d *receipt.Delegation) { d.IssuedAt++ }, "something else"},
		"a longer time to sign":   {func(d *receipt.Delegation) { d.ExpiresAt++ }, "something else"},
		"a parent":                {func(d *receipt.Delegation) { d.Parent = strings.Repeat("A", 43) }, "something else"},
	} {
		given := widest(t)
		c.change(&given)
		err := given.NarrowerThan(widest(t))
		if (err == nil) != (c.refuse == "") || (err != nil && !strings.Contains(err.Error(), c.refuse)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
