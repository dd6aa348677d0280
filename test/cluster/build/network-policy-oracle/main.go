// SPDX-License-Identifier: Apache-2.0

// An independent judge of NetworkPolicies for tests: kube-network-policies' evaluator on cases from standard input,
// one JSON document a line, answered by one line each: "true" or "false" for egress and for ingress.
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
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
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

type testCase struct {
	Policies    []*networkingv1.NetworkPolicy `json:"policies"`
	Source      endpoint                      `json:"source"`
	Destination endpoint                      `json:"destination"`
	Port        int                           `json:"port"`
	Protocol    v1.Protocol                   `json:"protocol"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		var c testCase
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(out, egress(&c), ingress(&c))
	}
}

func egress(c *testCase) bool {
	selected := selecting(c.Policies, c.Source.Pod)
	return networkpolicy.EvaluatePolicyDirection(context.Background(), selected, networkingv1.PolicyTypeEgress,
		info(c.Source.Pod), 40000, info(c.Destination.Pod), net.ParseIP(c.Destination.Address), c.Port, c.Protocol)
}

func ingress(c *testCase) bool {
	selected := selecting(c.Policies, c.Destination.Pod)
	return networkpolicy.EvaluatePolicyDirection(context.Background(), selected, networkingv1.PolicyTypeIngress,
		info(c.Destination.Pod), c.Port, info(c.Source.Pod), net.ParseIP(c.Source.Address), 40000, c.Protocol)
}

func selecting(policies []*networkingv1.NetworkPolicy, p *pod) []*networkingv1.NetworkPolicy {
	var selected []*networkingv1.NetworkPolicy
	for _, policy := range policies {
		if p != nil && policy.Namespace == p.Namespace && networkpolicy.MatchesSelector(&policy.Spec.PodSelector, p.Labels) {
			selected = append(selected, policy)
		}
	}
	return selected
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
	}
}
