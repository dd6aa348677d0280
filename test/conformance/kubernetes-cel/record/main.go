// SPDX-License-Identifier: Apache-2.0

// Record writes what the CEL environment of kube-apiserver answers: it reads lines of {"expression", "data"} and writes
// them with "want". See ../README.md.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
)

type row struct {
	Expression string          `json:"expression"`
	Data       json.RawMessage `json:"data,omitempty"`
	Want       any             `json:"want"`
}

func main() {
	base := environment.MustBaseEnvSet(version.MajorMinor(1, 36)).StoredExpressionsEnv()
	env, err := base.Extend(cel.Variable("d", cel.DynType))
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			panic(err)
		}
		if r.Want = answer(env, r); r.Want == nil {
			continue
		}
		if err := out.Encode(r); err != nil {
			panic(err)
		}
	}
}

var issue = regexp.MustCompile(`ERROR: <input>:(\d+:\d+: .*)`)

// answer is nil where the reference crashes.
func answer(env *cel.Env, r row) (want any) {
	defer func() {
		if recover() != nil {
			want = nil
		}
	}()
	ast, issues := env.Compile(r.Expression)
	if issues.Err() != nil {
		messages := []string{}
		for _, match := range issue.FindAllStringSubmatch(issues.Err().Error(), -1) {
			messages = append(messages, match[1])
		}
		return map[string]any{"issues": messages}
	}
	program, err := env.Program(ast)
	if err != nil {
		return nil
	}
	var data any
	if r.Data != nil {
		if err := utiljson.Unmarshal(r.Data, &data); err != nil {
			panic(err)
		}
	}
	value, _, err := program.Eval(map[string]any{"d": data})
	if err != nil {
		if strings.Contains(err.Error(), "internal error") {
			return nil
		}
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"type": ast.OutputType().String(), "value": show(value)}
}

func show(value ref.Val) any {
	switch v := value.(type) {
	case types.Null:
		return nil
	case types.Bool:
		return bool(v)
	case types.String:
		return string(v)
	case types.Int:
		return map[string]any{"int": strconv.FormatInt(int64(v), 10)}
	case types.Uint:
		return map[string]any{"uint": strconv.FormatUint(uint64(v), 10)}
	case types.Double:
		return map[string]any{"double": strconv.FormatFloat(float64(v), 'g', -1, 64)}
	case types.Bytes:
		return map[string]any{"bytes": hex.EncodeToString(v)}
	case types.Duration:
		return map[string]any{"duration": strconv.FormatInt(int64(v.Duration), 10)}
	case types.Timestamp:
		return map[string]any{"timestamp": v.UTC().Format(time.RFC3339Nano)}
	case *types.Optional:
		if !v.HasValue() {
			return map[string]any{"none": true}
		}
		return map[string]any{"some": show(v.GetValue())}
	case *types.Type:
		return map[string]any{"type": v.TypeName()}
	case traits.Lister:
		items := []any{}
		for i := types.Int(0); i < v.Size().(types.Int); i++ {
			items = append(items, show(v.Get(i)))
		}
		return items
	case traits.Mapper:
		entries := [][]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			entries = append(entries, []any{show(key), show(v.Get(key))})
		}
		sort.Slice(entries, func(a, b int) bool { return fmt.Sprint(entries[a][0]) < fmt.Sprint(entries[b][0]) })
		return map[string]any{"map": entries}
	}
	return map[string]any{"opaque": value.Type().TypeName()}
}
