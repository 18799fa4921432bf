//! Dependency order on petgraph. Generic over its keys: it knows nothing of resources.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::Hash,
};

use petgraph::{
    Direction,
    algo::tarjan_scc,
    graph::{DiGraph, NodeIndex},
};

/// Keys and what each comes after.
#[derive(Debug, Clone)]
pub struct Graph<K> {
    /// An edge points at what a key comes after: of these it has few, of those that come after it perhaps many.
    graph: DiGraph<K, ()>,
    index: HashMap<K, NodeIndex>,
}

/// Keys that wait for each other, in the order of the circle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle<K>(pub Vec<K>);

impl<K: std::fmt::Display> std::fmt::Display for Cycle<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for key in &self.0 {
            write!(f, "{key} → ")?;
        }
        write!(f, "{}", self.0[0])
    }
}

impl<K> Default for Graph<K> {
    fn default() -> Self {
        Graph { graph: DiGraph::new(), index: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash> Graph<K> {
    /// Adds `key`, unless it is there.
    pub fn insert(&mut self, key: K) {
        self.node(key);
    }

    fn node(&mut self, key: K) -> NodeIndex {
        let graph = &mut self.graph;
        *self.index.entry(key).or_insert_with_key(|key| graph.add_node(key.clone()))
    }

    /// `later` comes after `earlier`; both are added when absent.
    pub fn order(&mut self, later: K, earlier: K) {
        self.order_all(later, [earlier]);
    }

    /// `later` comes after each of `earlier`; all are added when absent.
    pub fn order_all(&mut self, later: K, earlier: impl IntoIterator<Item = K>) {
        let later = self.node(later);
        for earlier in earlier {
            let earlier = self.node(earlier);
            self.graph.update_edge(later, earlier, ());
        }
    }

    /// What `key` comes directly after.
    pub fn dependencies<'a>(&'a self, key: &K) -> impl Iterator<Item = &'a K> + use<'a, K> {
        self.neighbours(key, Direction::Outgoing)
    }

    /// What comes directly after `key`.
    pub fn dependents<'a>(&'a self, key: &K) -> impl Iterator<Item = &'a K> + use<'a, K> {
        self.neighbours(key, Direction::Incoming)
    }

    fn neighbours<'a>(&'a self, key: &K, direction: Direction) -> impl Iterator<Item = &'a K> + use<'a, K> {
        let node = self.index.get(key).copied();
        node.into_iter()
            .flat_map(move |node| self.graph.neighbors_directed(node, direction))
            .map(|node| &self.graph[node])
    }

    /// Every key after all it depends on; among those that are free, in the order they were added.
    pub fn sorted(&self) -> Result<Vec<&K>, Cycle<K>> {
        let mut waits: Vec<usize> = self
            .graph
            .node_indices()
            .map(|node| self.graph.neighbors_directed(node, Direction::Outgoing).count())
            .collect();
        let free = self.graph.node_indices().filter(|node| waits[node.index()] == 0);
        let mut ready: BinaryHeap<Reverse<NodeIndex>> = free.map(Reverse).collect();
        let mut sorted = Vec::with_capacity(waits.len());
        while let Some(Reverse(node)) = ready.pop() {
            sorted.push(&self.graph[node]);
            for next in self.graph.neighbors_directed(node, Direction::Incoming) {
                waits[next.index()] -= 1;
                if waits[next.index()] == 0 {
                    ready.push(Reverse(next));
                }
            }
        }
        if sorted.len() == waits.len() { Ok(sorted) } else { Err(self.cycle()) }
    }

    fn cycle(&self) -> Cycle<K> {
        let circular =
            |component: &Vec<NodeIndex>| component.len() > 1 || self.graph.contains_edge(component[0], component[0]);
        let component = tarjan_scc(&self.graph).into_iter().find(circular);
        let component = component.expect("BUG: an order that does not close has a cycle");
        Cycle(component.into_iter().map(|node| self.graph[node].clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(edges: &[(&'static str, &'static str)]) -> Graph<&'static str> {
        let mut graph = Graph::default();
        for (later, earlier) in edges {
            graph.order(*later, *earlier);
        }
        graph
    }

    #[test]
    fn keys_come_after_what_they_depend_on_and_else_in_their_order() {
        let mut graph = graph(&[("c", "b"), ("b", "a")]);
        graph.insert("z");
        assert_eq!(graph.sorted().unwrap(), [&"a", &"b", &"c", &"z"]);
        assert_eq!(graph.dependents(&"a").collect::<Vec<_>>(), [&"b"]);
        assert_eq!(graph.dependencies(&"c").collect::<Vec<_>>(), [&"b"]);
    }

    #[test]
    fn a_cycle_is_reported_by_name() {
        let mut cycle = graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]).sorted().unwrap_err().0;
        cycle.sort_unstable();
        assert_eq!(cycle, ["a", "b", "c"]);
        assert_eq!(graph(&[("a", "a")]).sorted().unwrap_err().to_string(), "a → a");
    }

    proptest! {
        #[test]
        fn any_graph_whose_edges_point_backwards_sorts(edges in prop::collection::vec((0u8..40, 0u8..40), 0..200)) {
            let mut graph = Graph::default();
            for (one, other) in edges.iter().filter(|(one, other)| one != other) {
                graph.order(*one.max(other), *one.min(other));
            }
            let sorted: Vec<u8> = graph.sorted().unwrap().into_iter().copied().collect();
            for (place, key) in sorted.iter().enumerate() {
                for earlier in graph.dependencies(key) {
                    prop_assert!(sorted[..place].contains(earlier));
                }
            }
        }
    }
}
