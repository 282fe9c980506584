//! The connection that this server opens to its primary, until it stands: a name is looked up and its addresses are tried, while the loop
//! goes on. What is said over it is `server::primary`'s.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::wake::Bell;

pub struct Dial {
    connecting: Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>,
    waker: Waker,
}

impl Dial {
    /// `source` is the address to come from, any where it is empty. The bell rings when there is something to be polled for.
    pub fn new(host: String, port: u16, source: String, bell: Arc<Bell>) -> Self {
        Self { connecting: Box::pin(connect(host, port, source)), waker: bell.into() }
    }

    pub fn poll(&mut self) -> Poll<io::Result<TcpStream>> {
        self.connecting.as_mut().poll(&mut Context::from_waker(&self.waker))
    }
}

async fn connect(host: String, port: u16, source: String) -> io::Result<TcpStream> {
    let mut refusal = io::ErrorKind::AddrNotAvailable.into();
    for address in lookup_host((host.as_str(), port)).await? {
        match connect_to(address, &source).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

async fn connect_to(address: SocketAddr, source: &str) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Ok(source) = source.parse::<IpAddr>()
        && let Err(error) = socket.bind(SocketAddr::new(source, 0))
    {
        // A link from another address is better than none.
        tracing::warn!("bind-source-addr {source} cannot be used for the link to the primary: {error}");
    }
    socket.connect(address).await
}
