// SPDX-License-Identifier: Apache-2.0

// An independent judge of network policies for tests: kube-network-policies' evaluators on cases from standard input,
// one JSON document a line, answered by one line each: "true" or "false" for egress and for ingress.
// The order is the API's: the admin tier, NetworkPolicies, the baseline tier; what nobody decides passes. The build
// lays the API's definitions beside it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	npav1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	npav1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

type port struct {
	Name     string `json:"name"`
	Port     int32  `json:"port"`
	Protocol string `json:"protocol"`
}

type pod struct {
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Labels          map[string]string `json:"labels"`
	Ports           []port            `json:"ports"`
}

type endpoint struct {
	Address string `json:"address"`
	Pod     *pod   `json:"pod"`
}

type node struct {
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels"`
	Addresses []string          `json:"addresses"`
}

type testCase struct {
	Policies              []*networkingv1.NetworkPolicy             `json:"policies"`
	ClusterPolicies       []*npav1alpha2.ClusterNetworkPolicy       `json:"clusterPolicies"`
	AdminPolicies         []*npav1alpha1.AdminNetworkPolicy         `json:"adminPolicies"`
	BaselineAdminPolicies []*npav1alpha1.BaselineAdminNetworkPolicy `json:"baselineAdminPolicies"`
	Nodes                 []node                                    `json:"nodes"`
	Source                endpoint                                  `json:"source"`
	Destination           endpoint                                  `json:"destination"`
	Port                  int                                       `json:"port"`
	Protocol              v1.Protocol                               `json:"protocol"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	world := newCluster()
	for in.Scan() {
		var c testCase
		err := json.Unmarshal(in.Bytes(), &c)
		if err == nil {
			err = world.load(&c)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(out, judge(world, &c, egress), judge(world, &c, ingress))
	}
}

type step func(e api.PolicyEvaluator, p *network.Packet, source, destination *api.PodInfo) (api.Verdict, error)

func egress(e api.PolicyEvaluator, p *network.Packet, source, destination *api.PodInfo) (api.Verdict, error) {
	return e.EvaluateEgress(context.Background(), p, source, destination)
}

func ingress(e api.PolicyEvaluator, p *network.Packet, source, destination *api.PodInfo) (api.Verdict, error) {
	return e.EvaluateIngress(context.Background(), p, source, destination)
}

// judge runs the evaluators in the engine's order; only NetworkPolicy's own evaluator is called by its function,
// since its type wants a running cluster's informers.
func judge(world *cluster, c *testCase, evaluate step) bool {
	packet := &network.Packet{
		SrcIP: net.ParseIP(c.Source.Address), DstIP: net.ParseIP(c.Destination.Address),
		SrcPort: 40000, DstPort: c.Port, Proto: c.Protocol,
	}
	source, destination := info(c.Source.Pod), info(c.Destination.Pod)
	for _, evaluator := range append(append(world.admin(), &networkPolicies{c}), world.baseline()...) {
		verdict, err := evaluate(evaluator, packet, source, destination)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if verdict != api.VerdictNext {
			return verdict == api.VerdictAccept
		}
	}
	return true
}

func info(p *pod) *api.PodInfo {
	if p == nil {
		return nil
	}
	ports := make([]*api.ContainerPort, 0, len(p.Ports))
	for _, one := range p.Ports {
		ports = append(ports, &api.ContainerPort{Name: one.Name, Port: one.Port, Protocol: one.Protocol})
	}
	return &api.PodInfo{
		Labels:         p.Labels,
		ContainerPorts: ports,
		Namespace:      &api.Namespace{Name: p.Namespace, Labels: p.NamespaceLabels},
		Node:           &api.Node{},
	}
}

// networkPolicies is the tier of NetworkPolicies: it decides as soon as one policy selects the pod in the direction.
type networkPolicies struct{ c *testCase }

func (n *networkPolicies) selecting(p *pod, direction networkingv1.PolicyType) []*networkingv1.NetworkPolicy {
	var selected []*networkingv1.NetworkPolicy
	for _, policy := range n.c.Policies {
		if p == nil || policy.Namespace != p.Namespace || !networkpolicy.MatchesSelector(&policy.Spec.PodSelector, p.Labels) {
			continue
		}
		for _, one := range policy.Spec.PolicyTypes {
			if one == direction {
				selected = append(selected, policy)
			}
		}
	}
	return selected
}

func verdict(accepted bool) api.Verdict {
	if accepted {
		return api.VerdictAccept
	}
	return api.VerdictDeny
}

func (n *networkPolicies) EvaluateEgress(ctx context.Context, p *network.Packet, source, destination *api.PodInfo) (api.Verdict, error) {
	selected := n.selecting(n.c.Source.Pod, networkingv1.PolicyTypeEgress)
	if len(selected) == 0 {
		return api.VerdictNext, nil
	}
	return verdict(networkpolicy.EvaluatePolicyDirection(ctx, selected, networkingv1.PolicyTypeEgress,
		source, p.SrcPort, destination, p.DstIP, p.DstPort, p.Proto)), nil
}

func (n *networkPolicies) EvaluateIngress(ctx context.Context, p *network.Packet, source, destination *api.PodInfo) (api.Verdict, error) {
	selected := n.selecting(n.c.Destination.Pod, networkingv1.PolicyTypeIngress)
	if len(selected) == 0 {
		return api.VerdictNext, nil
	}
	return verdict(networkpolicy.EvaluatePolicyDirection(ctx, selected, networkingv1.PolicyTypeIngress,
		destination, p.DstPort, source, p.SrcIP, p.SrcPort, p.Proto)), nil
}
