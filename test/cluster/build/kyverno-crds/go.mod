// Only for the CRDs that the module holds: nothing of it is compiled.
module parapet.dev/test/kyverno-crds

go 1.26.0

require github.com/kyverno/kyverno v1.19.0
