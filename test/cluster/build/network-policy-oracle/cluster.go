// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/netip"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	npa1 "sigs.k8s.io/kube-network-policies/plugins/npa-v1alpha1"
	npa2 "sigs.k8s.io/kube-network-policies/plugins/npa-v1alpha2"
	npav1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	npav1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
	listers1 "sigs.k8s.io/network-policy-api/pkg/client/listers/apis/v1alpha1"
	listers2 "sigs.k8s.io/network-policy-api/pkg/client/listers/apis/v1alpha2"
)

// cluster holds the objects of one case in the caches from which the evaluators read.
type cluster struct {
	clusterPolicies, adminPolicies, baselinePolicies, nodes cache.Indexer
	evaluators                                              struct{ admin, baseline []api.PolicyEvaluator }
}

func newCluster() *cluster {
	c := &cluster{
		clusterPolicies: newIndexer(), adminPolicies: newIndexer(), baselinePolicies: newIndexer(), nodes: newIndexer(),
	}
	nodes := corelisters.NewNodeLister(c.nodes)
	clusterInformer := clusterPolicyInformer{c.clusterPolicies}
	c.evaluators.admin = []api.PolicyEvaluator{
		npa1.NewAdminNetworkPolicy(adminPolicyInformer{c.adminPolicies}, nil),
		npa2.NewClusterNetworkPolicy(npav1alpha2.AdminTier, clusterInformer, nil, nodes),
	}
	c.evaluators.baseline = []api.PolicyEvaluator{
		npa1.NewBaselineAdminNetworkPolicy(baselinePolicyInformer{c.baselinePolicies}),
		npa2.NewClusterNetworkPolicy(npav1alpha2.BaselineTier, clusterInformer, nil, nodes),
	}
	return c
}

func (c *cluster) admin() []api.PolicyEvaluator {
	return append([]api.PolicyEvaluator{}, c.evaluators.admin...)
}
func (c *cluster) baseline() []api.PolicyEvaluator { return c.evaluators.baseline }

func newIndexer() cache.Indexer {
	return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
}

func (c *cluster) load(t *testCase) error {
	if err := replace(c.clusterPolicies, t.ClusterPolicies); err != nil {
		return err
	}
	if err := replace(c.adminPolicies, t.AdminPolicies); err != nil {
		return err
	}
	if err := replace(c.baselinePolicies, t.BaselineAdminPolicies); err != nil {
		return err
	}
	var nodes []*v1.Node
	for _, one := range t.Nodes {
		made := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: one.Name, Labels: one.Labels}}
		for _, address := range one.Addresses {
			made.Status.Addresses = append(made.Status.Addresses, v1.NodeAddress{Type: v1.NodeInternalIP, Address: address})
		}
		nodes = append(nodes, made)
	}
	return replace(c.nodes, nodes)
}

func replace[T any](indexer cache.Indexer, objects []T) error {
	items := make([]interface{}, 0, len(objects))
	for _, one := range objects {
		items = append(items, one)
	}
	return indexer.Replace(items, "")
}

// The evaluators ask an informer for its lister and whether it has synced; nothing here ever runs.
type clusterPolicyInformer struct{ indexer cache.Indexer }

func (i clusterPolicyInformer) Informer() cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(&cache.ListWatch{}, &npav1alpha2.ClusterNetworkPolicy{}, 0, cache.Indexers{})
}
func (i clusterPolicyInformer) Lister() listers2.ClusterNetworkPolicyLister {
	return listers2.NewClusterNetworkPolicyLister(i.indexer)
}

type adminPolicyInformer struct{ indexer cache.Indexer }

func (i adminPolicyInformer) Informer() cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(&cache.ListWatch{}, &npav1alpha1.AdminNetworkPolicy{}, 0, cache.Indexers{})
}
func (i adminPolicyInformer) Lister() listers1.AdminNetworkPolicyLister {
	return listers1.NewAdminNetworkPolicyLister(i.indexer)
}

type baselinePolicyInformer struct{ indexer cache.Indexer }

func (i baselinePolicyInformer) Informer() cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(&cache.ListWatch{}, &npav1alpha1.BaselineAdminNetworkPolicy{}, 0, cache.Indexers{})
}
func (i baselinePolicyInformer) Lister() listers1.BaselineAdminNetworkPolicyLister {
	return listers1.NewBaselineAdminNetworkPolicyLister(i.indexer)
}

// The rest of what an evaluator must be, which matters to a data plane only.
func (n *networkPolicies) Name() string                            { return "NetworkPolicy" }
func (n *networkPolicies) Ready() bool                             { return true }
func (n *networkPolicies) SetDataplaneSyncCallback(_ api.SyncFunc) {}
func (n *networkPolicies) ManagedIPs(context.Context) ([]netip.Addr, bool, error) {
	return nil, true, nil
}
