//! Brokers without Kafka: they keep partitions and settings in memory, and support the requests that kgen needs to
//! change a cluster. librdkafka's mock cluster supports neither reassignment nor election.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey, ApiVersionsResponse,
        DescribeConfigsRequest, DescribeConfigsResponse, ElectLeadersRequest, ElectLeadersResponse,
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListPartitionReassignmentsResponse,
        MetadataResponse, RequestHeader, ResponseHeader,
        api_versions_response::ApiVersion,
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult},
        list_partition_reassignments_response::{OngoingPartitionReassignment, OngoingTopicReassignment},
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    protocol::{Decodable, Encodable, StrBytes},
};

use super::partitions::{Partition, Placed};
use crate::sample::BrokerId;

/// What is answered, each with its newest version that is answered.
const ANSWERED: [(ApiKey, i16); 7] = [
    (ApiKey::ApiVersions, 3),
    (ApiKey::Metadata, 9),
    (ApiKey::DescribeConfigs, 4),
    (ApiKey::ElectLeaders, 2),
    (ApiKey::IncrementalAlterConfigs, 1),
    (ApiKey::AlterPartitionReassignments, 0),
    (ApiKey::ListPartitionReassignments, 0),
];

/// Zones of the brokers, in turn.
const ZONES: [&str; 3] = ["a", "b", "c"];

/// Listeners of a cluster's brokers. They end when this is dropped.
pub struct Brokers {
    addresses: Vec<SocketAddr>,
    cluster: Arc<Mutex<MockKafka>>,
    is_over: Arc<AtomicBool>,
}

/// What the brokers know.
#[derive(Debug, Default)]
pub struct MockKafka {
    /// How many of the brokers are members, from id 1.
    pub members: usize,
    pub partitions: BTreeMap<Partition, Placed>,
    /// Where partitions are being moved to.
    pub moving: BTreeMap<Partition, Vec<BrokerId>>,
    /// Moves that were begun never come to their end.
    pub never_moves: bool,
    /// Settings that were given, by kind and name of the resource and name of the setting.
    pub settings: BTreeMap<(i8, String, String), String>,
    /// Settings of brokers that were taken away, which are shown once more: a broker reads of it later than the controller.
    taken: BTreeMap<(i8, String, String), String>,
    /// Every setting that was ever given.
    pub was_set: BTreeSet<String>,
}

impl Brokers {
    /// `most` brokers, of which the first `members` are members.
    pub fn start(most: usize, members: usize) -> Brokers {
        let listeners: Vec<TcpListener> = (0..most).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let cluster = Arc::new(Mutex::new(MockKafka { members, ..MockKafka::default() }));
        let is_over = Arc::new(AtomicBool::new(false));
        for listener in listeners {
            let (addresses, cluster, is_over) = (addresses.clone(), Arc::clone(&cluster), Arc::clone(&is_over));
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let (addresses, cluster) = (addresses.clone(), Arc::clone(&cluster));
                    // It ends with its client, or with a request that is not answered.
                    thread::spawn(move || while answer_next(&stream, &addresses, &cluster).is_some() {});
                }
            });
        }
        Brokers { addresses, cluster, is_over }
    }

    /// Where broker `id` listens.
    pub fn address(&self, id: usize) -> SocketAddr {
        self.addresses[id - 1]
    }

    pub fn cluster(&self) -> MutexGuard<'_, MockKafka> {
        self.cluster.lock().unwrap()
    }

    /// The same, for other threads.
    pub fn shared(&self) -> Arc<Mutex<MockKafka>> {
        Arc::clone(&self.cluster)
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.addresses.iter().for_each(|address| drop(TcpStream::connect(address)));
    }
}

impl MockKafka {
    /// Gives a topic `partitions` partitions with these replicas, the first of which leads.
    pub fn create(&mut self, topic: &str, partitions: i32, replicas: &[BrokerId]) {
        for number in 0..partitions {
            let mut replicas = replicas.to_vec();
            let turn = number as usize % replicas.len();
            replicas.rotate_left(turn);
            let placed = Placed { leader: Some(replicas[0]), in_sync: replicas.clone(), replicas };
            self.partitions.insert((topic.to_owned(), number), placed);
        }
    }

    /// Takes replica `id` of every partition out of sync.
    pub fn fall_behind(&mut self, id: BrokerId) {
        self.partitions.values_mut().for_each(|placed| placed.in_sync.retain(|replica| *replica != id));
    }

    /// Names of the settings that are given now.
    pub fn set(&self) -> BTreeSet<&str> {
        self.settings.keys().map(|(.., name)| name.as_str()).collect()
    }

    /// Ends the moves that run.
    fn advance(&mut self) {
        if self.never_moves {
            return;
        }
        for (partition, replicas) in std::mem::take(&mut self.moving) {
            if let Some(placed) = self.partitions.get_mut(&partition) {
                placed.leader = placed.leader.filter(|leader| replicas.contains(leader)).or(replicas.first().copied());
                *placed = Placed { leader: placed.leader, in_sync: replicas.clone(), replicas };
            }
        }
    }
}

/// Answers the next request of a client; nothing when there is none, or it is not answered.
fn answer_next(mut stream: &TcpStream, addresses: &[SocketAddr], cluster: &Mutex<MockKafka>) -> Option<()> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).ok()?;
    let mut request = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut request).ok()?;
    let mut request = Bytes::from(request);
    let (key, version) = (i16::from_be_bytes([request[0], request[1]]), i16::from_be_bytes([request[2], request[3]]));
    let key = ApiKey::try_from(key).ok()?;
    let header = RequestHeader::decode(&mut request, key.request_header_version(version)).ok()?;
    // Whoever asks in a version that is too new is told so in the oldest, as Kafka does.
    let version = if key == ApiKey::ApiVersions && version > 3 { 0 } else { version };
    let mut answer = BytesMut::new();
    let about = ResponseHeader::default().with_correlation_id(header.correlation_id);
    about.encode(&mut answer, key.response_header_version(version)).ok()?;
    body(key, version, request, addresses, &mut cluster.lock().unwrap(), &mut answer)?;
    let mut frame = BytesMut::new();
    frame.put_u32(answer.len() as u32);
    frame.extend_from_slice(&answer);
    stream.write_all(&frame).ok()
}

fn body(
    key: ApiKey,
    version: i16,
    mut request: Bytes,
    addresses: &[SocketAddr],
    cluster: &mut MockKafka,
    to: &mut BytesMut,
) -> Option<()> {
    let encoded = match key {
        ApiKey::ApiVersions => versions().encode(to, version),
        ApiKey::Metadata => metadata(cluster, addresses).encode(to, version),
        ApiKey::DescribeConfigs => {
            settings(cluster, &DescribeConfigsRequest::decode(&mut request, version).ok()?).encode(to, version)
        }
        ApiKey::IncrementalAlterConfigs => {
            alter(cluster, &IncrementalAlterConfigsRequest::decode(&mut request, version).ok()?);
            IncrementalAlterConfigsResponse::default().encode(to, version)
        }
        ApiKey::AlterPartitionReassignments => {
            reassign(cluster, &AlterPartitionReassignmentsRequest::decode(&mut request, version).ok()?);
            AlterPartitionReassignmentsResponse::default().encode(to, version)
        }
        ApiKey::ListPartitionReassignments => moving(cluster).encode(to, version),
        ApiKey::ElectLeaders => {
            elect(cluster, &ElectLeadersRequest::decode(&mut request, version).ok()?);
            ElectLeadersResponse::default().encode(to, version)
        }
        _ => return None,
    };
    encoded.ok()
}

fn versions() -> ApiVersionsResponse {
    let keys = ANSWERED.map(|(key, newest)| ApiVersion::default().with_api_key(key as i16).with_max_version(newest));
    ApiVersionsResponse::default().with_api_keys(keys.to_vec())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn ids(ids: &[BrokerId]) -> Vec<kafka_protocol::messages::BrokerId> {
    ids.iter().map(|id| (*id).into()).collect()
}

fn metadata(cluster: &MockKafka, addresses: &[SocketAddr]) -> MetadataResponse {
    let brokers = (1..).zip(addresses).take(cluster.members).map(|(id, address): (BrokerId, _)| {
        MetadataResponseBroker::default()
            .with_node_id(id.into())
            .with_host(text("127.0.0.1"))
            .with_port(address.port().into())
            .with_rack(Some(text(ZONES[(id as usize - 1) % ZONES.len()])))
    });
    let mut topics: BTreeMap<&str, Vec<MetadataResponsePartition>> = BTreeMap::new();
    for ((topic, number), placed) in &cluster.partitions {
        let partition = MetadataResponsePartition::default()
            .with_partition_index(*number)
            .with_leader_id(placed.leader.unwrap_or(-1).into())
            .with_replica_nodes(ids(&placed.replicas))
            .with_isr_nodes(ids(&placed.in_sync));
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        MetadataResponseTopic::default().with_name(Some(text(name).into())).with_partitions(partitions)
    });
    MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(Some(text("stub")))
        .with_controller_id(1.into())
        .with_topics(topics.collect())
}

fn settings(cluster: &mut MockKafka, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|resource| {
        let (kind, name) = (resource.resource_type, resource.resource_name.to_string());
        // Topics have 1, brokers that were given it while they run 2 (Kafka protocol, DescribeConfigs).
        let source = if kind == 2 { 1 } else { 2 };
        let is_of = |(of, resource, _): &(i8, String, String)| *of == kind && *resource == name;
        let taken = cluster.taken.extract_if(.., |key, _| is_of(key)).collect::<Vec<_>>();
        let given = cluster.settings.iter().filter(|(key, _)| is_of(key));
        let given = given.chain(taken.iter().map(|(key, value)| (key, value)));
        let given = given.map(|((.., name), value)| {
            DescribeConfigsResourceResult::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
                .with_config_source(source)
        });
        DescribeConfigsResult::default()
            .with_resource_type(kind)
            .with_resource_name(text(&name))
            .with_configs(given.collect())
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn alter(cluster: &mut MockKafka, request: &IncrementalAlterConfigsRequest) {
    for resource in &request.resources {
        for config in &resource.configs {
            let key = (resource.resource_type, resource.resource_name.to_string(), config.name.to_string());
            match config.value.as_ref().filter(|_| config.config_operation == 0) {
                Some(value) => {
                    cluster.was_set.insert(config.name.to_string());
                    cluster.settings.insert(key, value.to_string());
                }
                None => {
                    let value = cluster.settings.remove(&key).filter(|_| key.0 == 4);
                    cluster.taken.extend(value.map(|value| (key, value)));
                }
            }
        }
    }
}

fn reassign(cluster: &mut MockKafka, request: &AlterPartitionReassignmentsRequest) {
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.to_string(), partition.partition_index);
            match &partition.replicas {
                Some(replicas) => drop(cluster.moving.insert(key, replicas.iter().map(|id| id.0).collect())),
                None => drop(cluster.moving.remove(&key)),
            }
        }
    }
}

/// The moves that run; they come to their end when they have been shown once.
fn moving(cluster: &mut MockKafka) -> ListPartitionReassignmentsResponse {
    let topics = cluster.moving.iter().map(|((topic, number), replicas)| {
        let partition =
            OngoingPartitionReassignment::default().with_partition_index(*number).with_adding_replicas(ids(replicas));
        OngoingTopicReassignment::default().with_name(text(topic).into()).with_partitions(vec![partition])
    });
    let answer = ListPartitionReassignmentsResponse::default().with_topics(topics.collect());
    cluster.advance();
    answer
}

fn elect(cluster: &mut MockKafka, request: &ElectLeadersRequest) {
    for topic in request.topic_partitions.iter().flatten() {
        for number in &topic.partitions {
            if let Some(placed) = cluster.partitions.get_mut(&(topic.topic.to_string(), *number)) {
                placed.leader = placed.replicas.first().copied();
            }
        }
    }
}
